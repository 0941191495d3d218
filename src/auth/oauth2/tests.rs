#[path = "../../../tests/support/token.rs"]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::{Value, json};

use self::support::{Signer, encode};
use super::*;
use crate::auth::{Access, Tag};

const NOW: Time = Time(1_700_000_000_000);

/// The same in the seconds of claims.
const SECONDS: u64 = 1_700_000_000;

fn options() -> OAuth2Options {
    OAuth2Options {
        resource_server_id: "rabbit".to_owned(),
        scope_prefix: "rabbit.".to_owned(),
        ..OAuth2Options::default()
    }
}

fn with(options: OAuth2Options, keys: &[Value]) -> OAuth2 {
    let json = json!({ "keys": keys }).to_string();
    let (fixed, left_out) = KeySet::parse(json.as_bytes(), true).unwrap();
    assert_eq!(left_out, Vec::<String>::new());
    OAuth2::new(options, Arc::new(KeyStore::new(fixed, false)))
}

fn claims() -> Value {
    json!({ "sub": "bob", "scope": "rabbit.read:*/*" })
}

/// The user's name, or what is wrong.
fn judge(oauth2: &OAuth2, token: &str) -> Result<String, Problem> {
    oauth2.judge(token.as_bytes(), NOW).map(|token| token.user.name.to_string())
}

fn signers() -> [(Signer, &'static [&'static str]); 5] {
    [
        (Signer::rsa(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        (Signer::p256(), &["ES256"]),
        (Signer::p384(), &["ES384"]),
        (Signer::ed25519(), &["EdDSA", "Ed25519"]),
        (Signer::secret(), &["HS256", "HS384", "HS512"]),
    ]
}

#[test]
fn every_key_verifies_its_algorithms_and_no_others() {
    for (signer, fitting) in signers() {
        let oauth2 = with(options(), &[signer.jwk("k")]);
        for (name, _) in Algorithm::NAMES {
            let token = signer.token_with(&json!({ "alg": name, "kid": "k" }), &claims());
            let expected = match fitting.contains(&name) {
                true => Ok("bob".to_owned()),
                false => Err(Problem::Algorithm),
            };
            assert_eq!(judge(&oauth2, &token), expected, "{fitting:?} {name}");
        }
    }
}

#[test]
fn algorithm_of_a_signature_is_the_one_that_the_token_names() {
    for (signer, fitting) in signers() {
        let oauth2 = with(options(), &[signer.jwk("k")]);
        for (named, used) in fitting.iter().zip(fitting.iter().skip(1)) {
            if *used == "Ed25519" {
                continue;
            }
            let header = encode(json!({ "alg": named, "kid": "k" }).to_string().as_bytes());
            let text = format!("{header}.{}", encode(claims().to_string().as_bytes()));
            let token = format!("{text}.{}", encode(&signer.sign(used, text.as_bytes())));
            assert_eq!(judge(&oauth2, &token), Err(Problem::Signature), "{named} {used}");
        }
    }
}

/// The oldest trick: a public key, which everybody knows, as the secret of a HMAC.
#[test]
fn public_key_is_no_secret() {
    let rsa = Signer::rsa();
    let oauth2 = with(options(), &[rsa.jwk("k"), Signer::secret().jwk("other")]);
    let jwk = rsa.jwk("k").to_string();
    let text = |name: &str| rsa.jwk("k")[name].as_str().unwrap().as_bytes().to_vec();
    for secret in [rsa.public(), jwk.into_bytes(), text("n"), text("e"), Vec::new()] {
        let token = Signer::Secret(secret).token("k", &claims());
        assert_eq!(judge(&oauth2, &token), Err(Problem::Algorithm));
    }
}

#[test]
fn unsigned_tokens_are_refused() {
    let (signer, claims) = (Signer::p256(), claims());
    let oauth2 = with(options(), &[signer.jwk("k")]);
    for alg in ["none", "None", "NONE", "nOnE", "", "HS1", "RS1", "ES512", "ES256K", "es256"] {
        let token = signer.token_with(&json!({ "alg": alg, "kid": "k" }), &claims);
        assert_eq!(judge(&oauth2, &token), Err(Problem::Algorithm), "{alg}");
        let (text, _) = token.rsplit_once('.').unwrap();
        assert_eq!(judge(&oauth2, &format!("{text}.")), Err(Problem::Algorithm), "{alg}");
    }
    let token = signer.token("k", &claims);
    let (text, _) = token.rsplit_once('.').unwrap();
    assert_eq!(judge(&oauth2, &format!("{text}.")), Err(Problem::Signature));
    assert_eq!(judge(&oauth2, text), Err(Problem::NoToken));
    // All zeros fooled others once.
    let zeros = format!("{text}.{}", encode(&[0; 64]));
    assert_eq!(judge(&oauth2, &zeros), Err(Problem::Signature));
}

#[test]
fn key_is_used_with_the_algorithm_that_it_is_for() {
    let signer = Signer::rsa();
    let mut jwk = signer.jwk("k");
    jwk["alg"] = "PS256".into();
    let oauth2 = with(options(), &[jwk]);
    for (alg, expected) in [("PS256", Ok("bob".to_owned())), ("RS256", Err(Problem::Algorithm))] {
        let token = signer.token_with(&json!({ "alg": alg, "kid": "k" }), &claims());
        assert_eq!(judge(&oauth2, &token), expected, "{alg}");
    }
}

#[test]
fn algorithms_can_be_limited() {
    let (signer, other) = (Signer::rsa(), Signer::p256());
    let algorithms = vec![Algorithm::Rs512, Algorithm::Es256];
    let oauth2 =
        with(OAuth2Options { algorithms, ..options() }, &[signer.jwk("k"), other.jwk("o")]);
    for (alg, expected) in [("RS512", Ok("bob".to_owned())), ("RS256", Err(Problem::Algorithm))] {
        let token = signer.token_with(&json!({ "alg": alg, "kid": "k" }), &claims());
        assert_eq!(judge(&oauth2, &token), expected, "{alg}");
    }
    assert!(judge(&oauth2, &other.token("o", &claims())).is_ok());
}

#[test]
fn key_is_found_by_its_name() {
    let (one, other) = (Signer::p256(), Signer::p256());
    let bob = || Ok("bob".to_owned());
    let nameless = |signer: &Signer| signer.token_with(&json!({ "alg": "ES256" }), &claims());
    let both = [one.jwk("1"), other.jwk("2")];

    let oauth2 = with(options(), &both);
    assert_eq!(judge(&oauth2, &one.token("1", &claims())), bob());
    assert_eq!(judge(&oauth2, &other.token("2", &claims())), bob());
    assert_eq!(judge(&oauth2, &one.token("2", &claims())), Err(Problem::Signature));
    assert_eq!(judge(&oauth2, &one.token("3", &claims())), Err(Problem::UnknownKey));
    assert_eq!(judge(&oauth2, &one.token("", &claims())), Err(Problem::UnknownKey));
    assert_eq!(judge(&oauth2, &nameless(&one)), Err(Problem::UnknownKey));

    let default_key = Some("2".to_owned());
    let oauth2 = with(OAuth2Options { default_key, ..options() }, &both);
    assert_eq!(judge(&oauth2, &nameless(&other)), bob());
    assert_eq!(judge(&oauth2, &nameless(&one)), Err(Problem::Signature));
    assert_eq!(judge(&oauth2, &one.token("1", &claims())), bob());

    let oauth2 = with(options(), &[one.jwk("1")]);
    assert_eq!(judge(&oauth2, &nameless(&one)), bob());

    // A key that the token brings along is nobody's.
    let mut header = json!({ "alg": "ES256", "jwk": other.jwk("1"), "jku": "http://evil" });
    assert_eq!(judge(&oauth2, &other.token_with(&header, &claims())), Err(Problem::Signature));
    header["kid"] = "1".into();
    assert_eq!(judge(&oauth2, &other.token_with(&header, &claims())), Err(Problem::Signature));
}

#[test]
fn public_keys_are_read_from_der() {
    let sequence = |content: Vec<u8>| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], &length[..], &content].concat()
    };
    let spki = |algorithm: &[u8], bits: &[u8]| {
        let length = u16::try_from(bits.len() + 1).unwrap().to_be_bytes();
        let bits = [&[0x03, 0x82], &length[..], &[0], bits].concat();
        sequence([sequence(algorithm.to_vec()), bits].concat())
    };
    let rsa: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let p256: &[u8] =
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    let p384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
    let ed25519: &[u8] = b"\x06\x03\x2b\x65\x70";
    for (signer, algorithm) in [
        (Signer::rsa(), rsa),
        (Signer::p256(), p256),
        (Signer::p384(), p384),
        (Signer::ed25519(), ed25519),
    ] {
        let der = spki(algorithm, &signer.public());
        let mut fixed = KeySet::default();
        fixed.add(Some("k".to_owned()), Key::from_spki(&der).unwrap());
        let oauth2 = OAuth2::new(options(), Arc::new(KeyStore::new(fixed, false)));
        assert_eq!(judge(&oauth2, &signer.token("k", &claims())), Ok("bob".to_owned()));
        for end in 0..der.len() {
            assert!(Key::from_spki(&der[..end]).is_err(), "{end}");
            let mut broken = der.clone();
            broken[end] ^= 0xff;
            // It may still be a key, but nothing breaks.
            let _ = Key::from_spki(&broken);
        }
        let longer = [&der[..], &[0]].concat();
        assert!(Key::from_spki(&longer).is_err());
    }
}

#[test]
fn token_has_its_time() {
    let signer = Signer::p256();
    let oauth2 = with(options(), &[signer.jwk("k")]);
    let never = Time::NEVER;
    let seconds = |seconds: u64| Time(seconds * 1000);
    let leeway = LEEWAY.as_secs();
    for (name, value, expected) in [
        ("exp", json!(SECONDS + 60), Ok(seconds(SECONDS + 60) + LEEWAY)),
        ("exp", json!(SECONDS), Ok(NOW + LEEWAY)),
        ("exp", json!(SECONDS - leeway + 1), Ok(seconds(SECONDS + 1))),
        ("exp", json!(SECONDS - leeway), Err(Problem::Expired)),
        ("exp", json!(0), Err(Problem::Expired)),
        ("exp", json!(SECONDS as f64 + 0.25), Ok(Time(NOW.0 + 250) + LEEWAY)),
        ("exp", json!(1e300), Ok(never)),
        ("exp", json!(u64::MAX), Ok(never)),
        ("exp", json!(-1), Err(Problem::NoToken)),
        ("exp", json!("soon"), Err(Problem::NoToken)),
        ("exp", json!(null), Err(Problem::NoToken)),
        ("exp", json!([SECONDS + 60]), Err(Problem::NoToken)),
        ("nbf", json!(SECONDS + leeway), Ok(never)),
        ("nbf", json!(SECONDS + leeway + 1), Err(Problem::NotYetValid)),
        ("nbf", json!(u64::MAX), Err(Problem::NotYetValid)),
        ("nbf", json!("x"), Err(Problem::NoToken)),
        ("iat", json!(SECONDS + 1000), Ok(never)),
    ] {
        let token = signer.token("k", &json!({ "sub": "bob", name: value }));
        let found = oauth2.judge(token.as_bytes(), NOW).map(|token| token.expires);
        assert_eq!(found, expected, "{name} {value}");
    }
}

#[test]
fn token_is_for_somebody() {
    let signer = Signer::p256();
    let strict = with(OAuth2Options { verify_aud: true, ..options() }, &[signer.jwk("k")]);
    let lax = with(options(), &[signer.jwk("k")]);
    for (aud, expected) in [
        (json!("rabbit"), true),
        (json!(["other", "rabbit"]), true),
        (json!("other rabbit"), true),
        (json!("rabbits"), false),
        (json!(["rabbits", 1, null, ["rabbit"]]), false),
        (json!([]), false),
        (json!(""), false),
        (json!({ "rabbit": true }), false),
        (json!(null), false),
    ] {
        let token = signer.token("k", &json!({ "sub": "bob", "aud": aud }));
        let expected = if expected { Ok("bob".to_owned()) } else { Err(Problem::Audience) };
        assert_eq!(judge(&strict, &token), expected, "{aud}");
        assert!(judge(&lax, &token).is_ok(), "{aud}");
    }
    let token = signer.token("k", &json!({ "sub": "bob" }));
    assert_eq!(judge(&strict, &token), Err(Problem::Audience));
}

#[test]
fn user_is_called_as_the_claims_say() {
    let signer = Signer::p256();
    let preferred_username_claims = vec!["user_name".to_owned(), "email".to_owned()];
    let plain = with(options(), &[signer.jwk("k")]);
    let friendly =
        with(OAuth2Options { preferred_username_claims, ..options() }, &[signer.jwk("k")]);
    let all = json!({ "sub": "s", "client_id": "c", "email": "e", "user_name": "u" });
    for (oauth2, claims, expected) in [
        (&plain, all.clone(), "s"),
        (&plain, json!({ "client_id": "c" }), "c"),
        (&plain, json!({ "sub": "", "client_id": "c" }), "c"),
        (&plain, json!({ "sub": 7, "client_id": "c" }), "c"),
        (&plain, json!({}), "unknown"),
        (&friendly, all, "u"),
        (&friendly, json!({ "sub": "s", "email": "e" }), "e"),
        (&friendly, json!({ "sub": "s", "email": ["e"] }), "s"),
    ] {
        let token = signer.token("k", &claims);
        assert_eq!(judge(oauth2, &token), Ok(expected.to_owned()), "{claims}");
    }
    let long = |length| signer.token("k", &json!({ "sub": "x".repeat(length) }));
    assert!(judge(&plain, &long(255)).is_ok());
    assert_eq!(judge(&plain, &long(256)), Err(Problem::Name));
}

/// Which of the accesses, and which tags, a token with `claims` has in the vhost `v`.
fn allowed(options: &OAuth2Options, claims: &Value) -> String {
    let signer = Signer::p256();
    let token = signer.token("k", claims);
    let oauth2 = with(options.clone(), &[signer.jwk("k")]);
    let token = oauth2.judge(token.as_bytes(), NOW).unwrap();
    let here = token.in_vhost(&"v".into());
    let all = [(Access::Configure, "c"), (Access::Write, "w"), (Access::Read, "r")];
    let allowed = all.into_iter().filter(|(access, _)| here.allows(*access, "q"));
    let tags = token.user.tags.iter().map(Tag::as_str);
    allowed.map(|(_, letter)| letter).chain(tags).collect::<Vec<_>>().join(" ")
}

#[test]
fn scopes_are_found_wherever_they_are() {
    let aliases =
        [("dev", "rabbit.tag:management configure:*/*"), ("rabbit.all", "read:*/* write:*/*")];
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    let options = OAuth2Options {
        additional_scopes_key: vec!["roles".to_owned(), "realm.roles".to_owned()],
        scope_aliases: aliases.map(|(alias, all)| (alias.to_owned(), words(all))).to_vec(),
        resource_server_type: Some("rabbitmq".to_owned()),
        ..options()
    };
    let permission = |scopes: Value| {
        json!({ "authorization": { "permissions": [
        { "rsid": "1", "scopes": scopes }, { "rsid": "2" }, 7 ] } })
    };
    let detail = |location: &str, actions: Value| {
        let detail = json!({ "type": "rabbitmq", "locations": [location], "actions": actions });
        json!({ "authorization_details": [detail, { "type": "other" }, 1] })
    };
    for (claims, expected) in [
        (json!({ "scope": "rabbit.read:*/*" }), "r"),
        (json!({ "scope": "openid rabbit.read:*/*  rabbit.write:v/q" }), "w r"),
        (json!({ "scope": ["rabbit.read:*/*", "rabbit.tag:monitoring"] }), "r monitoring"),
        (json!({ "scope": ["rabbit.read:*/* rabbit.write:*/*"] }), "w r"),
        // Others' scopes, or none.
        (json!({ "scope": "read:*/* other.read:*/* Rabbit.read:*/* rabbitXread:*/*" }), ""),
        (json!({ "scope": 7 }), ""),
        (json!({ "scope": [7, null, {}] }), ""),
        (json!({}), ""),
        // Elsewhere.
        (json!({ "roles": "rabbit.read:*/*" }), "r"),
        (json!({ "realm": { "roles": ["rabbit.read:*/*"] } }), "r"),
        (json!({ "realm": { "roles": { "rabbit": "write:*/*", "other": "read:*/*" } } }), "w"),
        (json!({ "roles": { "rabbit": ["write:*/*"] }, "scope": "rabbit.read:*/*" }), "w r"),
        (json!({ "realm": "rabbit.read:*/*" }), ""),
        (permission(json!(["rabbit.read:*/*", "rabbit.tag:administrator"])), "r administrator"),
        (permission(json!("rabbit.read:*/*")), "r"),
        // Aliases.
        (json!({ "scope": "dev" }), "c management"),
        (json!({ "scope": "rabbit.all", "roles": ["dev"] }), "c w r management"),
        (json!({ "scope": "rabbit.dev" }), ""),
        // Rich authorization requests.
        (detail("cluster:rabbit", json!(["read", "write"])), "w r"),
        (detail("cluster:rab*/vhost:v/queue:q", json!("configure")), "c"),
        (detail("vrn/cluster:rabbit/exchange:q", json!(["read"])), "r"),
        (detail("cluster:rabbit/vhost:other", json!(["read"])), ""),
        (detail("cluster:other", json!(["read", "administrator"])), ""),
        (detail("vhost:v", json!(["read"])), ""),
        (detail("cluster:rabbit/queue:q/exchange:q", json!(["read"])), ""),
        (detail("cluster:rabbit", json!(["administrator", "sing"])), "administrator"),
    ] {
        assert_eq!(allowed(&options, &claims), expected, "{claims}");
    }
    let other = OAuth2Options { scope_prefix: "api://".to_owned(), ..options.clone() };
    assert_eq!(allowed(&other, &json!({ "scope": "api://read:*/* rabbit.write:*/*" })), "r");
    let none = OAuth2Options { scope_prefix: String::new(), ..options.clone() };
    assert_eq!(allowed(&none, &json!({ "scope": "read:*/* rabbit.write:*/*" })), "r");
    let no_type = OAuth2Options { resource_server_type: None, ..options };
    assert_eq!(allowed(&no_type, &detail("cluster:rabbit", json!(["read"]))), "");
}

#[test]
fn variables_of_topics_are_the_claims_of_the_token() {
    let signer = Signer::p256();
    let oauth2 = with(options(), &[signer.jwk("k")]);
    let scope = "rabbit.write:*/*/u-{sub}-{team}.{number}";
    let claims = json!({ "sub": "b*b", "team": "x", "number": 7, "scope": scope });
    let token = oauth2.judge(signer.token("k", &claims).as_bytes(), NOW).unwrap();
    let here = token.in_vhost(&"v".into());
    for (key, expected) in [("u-b*b-x.{number}", true), ("u-bob-x.{number}", false)] {
        assert_eq!(here.allows_topic(Access::Write, "x", key.as_bytes()), expected, "{key}");
    }
}

/// Whatever it is, it is an error and nothing else.
#[test]
fn hostile_tokens_are_refused() {
    let signer = Signer::p256();
    let oauth2 = with(options(), &[signer.jwk("k")]);
    let good = signer.token("k", &claims());
    assert!(judge(&oauth2, &good).is_ok());

    for end in 0..good.len() {
        assert!(judge(&oauth2, &good[..end]).is_err(), "{end}");
    }
    for at in 0..good.len() {
        for with in [b'A', b'_', b'.', b'=', b' ', 0, 0xff] {
            let mut changed = good.clone().into_bytes();
            if std::mem::replace(&mut changed[at], with) != with {
                assert!(oauth2.judge(&changed, NOW).is_err(), "{at} {with}");
            }
        }
    }
    let part = |text: &str| encode(text.as_bytes());
    let deep = "[".repeat(8000);
    let header = part(r#"{"alg":"ES256","kid":"k"}"#);
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "guest".to_owned(),
        format!("{good}.{good}"),
        format!("{good}."),
        format!(".{good}"),
        format!(" {good}"),
        format!("Bearer {good}"),
        format!("{header}.{}.{}", part("{}"), "A".repeat(86)),
        format!("{}.{}.AAAA", part("null"), part("{}")),
        format!("{}.{}.AAAA", part("[]"), part("{}")),
        format!("{}.{}.AAAA", part(&deep), part("{}")),
        format!("{}.{}.AAAA", part(r#"{"alg":7}"#), part("{}")),
        format!("{}.{}.AAAA", part(r#"{"alg":"ES256","alg":"none"}"#), part("{}")),
        format!("{}.{}.AAAA", part(r#"{"kid":"k"}"#), part("{}")),
        // Five parts are an encrypted one.
        format!("{header}.a.b.c.d"),
    ] {
        assert!(judge(&oauth2, &token).is_err(), "{token}");
    }
    // A good signature does not make good claims.
    for claims in ["", "null", "[]", "7", "{", "{}{}", "{\"sub\":\"\\ud800\"}", &deep] {
        let text = format!("{header}.{}", part(claims));
        let token = format!("{text}.{}", encode(&signer.sign("ES256", text.as_bytes())));
        assert_eq!(judge(&oauth2, &token), Err(Problem::NoToken), "{claims}");
    }
    let critical = json!({ "alg": "ES256", "kid": "k", "crit": ["exp"], "exp": 0 });
    let token = signer.token_with(&critical, &claims());
    assert_eq!(judge(&oauth2, &token), Err(Problem::Critical));
    let token = signer.token("k", &json!({ "sub": "bob", "junk": "x".repeat(TOKEN_BYTES_MAX) }));
    assert_eq!(judge(&oauth2, &token), Err(Problem::TooLong));

    let mut seed: u64 = 7;
    for length in 0..2000 {
        let junk: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            })
            .collect();
        assert!(oauth2.judge(&junk, NOW).is_err());
    }
}

#[test]
fn keys_of_no_use_are_left_out() {
    let good = Signer::p256().jwk("good");
    let mut other_use = Signer::rsa().jwk("k");
    other_use["use"] = "enc".into();
    let with = |name: &str, value: Value| {
        let mut jwk = Signer::p256().jwk("k");
        jwk[name] = value;
        jwk
    };
    for (jwk, expected) in [
        (other_use, "key \"k\": it is not for signatures"),
        (with("alg", json!("RSA-OAEP")), "key \"k\": its algorithm is not known here"),
        (with("alg", json!("ES384")), "key \"k\": its algorithm does not fit"),
        (with("crv", json!("P-521")), "key \"k\": its curve is not known here"),
        (with("crv", json!("P-384")), "key \"k\": its point has the wrong length"),
        (with("kty", json!("EC2")), "key \"k\": its type is not known here"),
        (with("x", json!("!")), "key \"k\": it is not base64url"),
        (with("x", json!(null)), "key \"k\": a part of it is missing"),
        (with("x", json!(7)), "key 0: it is not a key"),
        (json!(7), "key 0: it is not a key"),
        (json!({}), "key 0: it is not a key"),
        (
            json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
            "key 0: an RSA key must have 2048 to 8192 bits",
        ),
        (
            json!({ "kty": "RSA", "n": encode(&[255; 256]), "e": "" }),
            "key 0: its exponent is not one",
        ),
        (
            json!({ "kty": "oct", "k": encode(&[7; 31]) }),
            "key 0: a shared secret must have 32 bytes at least",
        ),
    ] {
        let json = json!({ "keys": [jwk, good] }).to_string();
        let (keys, left_out) = KeySet::parse(json.as_bytes(), true).unwrap();
        assert_eq!((left_out, keys.all().count()), (vec![expected.to_owned()], 1));
    }
    let secret = json!({ "keys": [Signer::secret().jwk("s")] }).to_string();
    let refused = KeySet::parse(secret.as_bytes(), false).unwrap_err().to_string();
    let expected = "it has no key that tokens can be verified with (key \"s\": a shared secret does not belong here)";
    assert_eq!(refused, expected);
}

#[test]
fn what_is_no_key_set_is_refused() {
    for (json, expected) in [
        (String::new(), "it is not a JSON web key set"),
        ("[]".to_owned(), "it is not a JSON web key set"),
        ("{}".to_owned(), "it is not a JSON web key set"),
        (r#"{"keys":{}}"#.to_owned(), "it is not a JSON web key set"),
        (format!(r#"{{"keys":{}"#, "[".repeat(10_000)), "it is not a JSON web key set"),
        (r#"{"keys":[]}"#.to_owned(), "it has no key"),
        (json!({ "keys": vec![1; 257] }).to_string(), "it has more than 256 keys"),
        (" ".repeat(KEY_SET_BYTES_MAX + 1), "it is longer than 262144 bytes"),
    ] {
        let refused = KeySet::parse(json.as_bytes(), true).unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
}

#[test]
fn keys_are_fetched_for_who_wants_them_and_not_all_the_time() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let want = |store: &KeyStore, now| {
        let called = || {
            CALLS.fetch_add(1, Ordering::Relaxed);
        };
        store.want(now, Box::new(called))
    };
    let calls = || CALLS.swap(0, Ordering::Relaxed);
    let context = Context::from_waker(Waker::noop());

    let store = KeyStore::new(KeySet::default(), false);
    assert!(!want(&store, NOW), "there is nowhere to fetch from");

    let store = KeyStore::new(KeySet::default(), true);
    // The first fetch.
    assert!(want(&store, NOW) && want(&store, NOW));
    assert_eq!((calls(), store.poll_wanted(&context)), (0, Poll::Ready(())));
    let signer = Signer::p256();
    let keys = KeySet::parse(signer.jwks("1").as_bytes(), false).unwrap().0;
    store.fetch_ended(Some(keys), NOW);
    assert_eq!((calls(), store.poll_wanted(&context)), (2, Poll::Pending));
    assert_eq!(store.fetched().named("1").count(), 1);

    let soon = Time(NOW.0) + FETCH_PAUSE - Duration::from_millis(1);
    assert!(!want(&store, soon));
    assert_eq!(store.poll_wanted(&context), Poll::Pending);
    // While one is under way anyway, its end is worth waiting for.
    store.fetch_begins();
    assert!(want(&store, soon));
    // It failed: the keys stay.
    store.fetch_ended(None, soon);
    assert_eq!((calls(), store.fetched().named("1").count()), (1, 1));
    assert!(want(&store, soon + FETCH_PAUSE));
    assert_eq!(store.poll_wanted(&context), Poll::Ready(()));
    // Those that are gone are gone.
    let keys = KeySet::parse(signer.jwks("2").as_bytes(), false).unwrap().0;
    store.fetch_ended(Some(keys), soon + FETCH_PAUSE);
    assert_eq!((calls(), store.fetched().named("1").count()), (1, 0));
}
