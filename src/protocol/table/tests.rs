use super::*;
use proptest::prelude::*;

/// One value of every type: letter and octets on the wire, what it decodes to, its name.
fn every_type() -> Vec<(Vec<u8>, FieldValue, &'static str)> {
    use FieldValue::*;
    let raw = |tag: u8, octets: &[u8]| [&[tag], octets].concat();
    vec![
        (raw(b't', &[1]), Bool(true), "bool"),
        (raw(b'b', &[0xFF]), I8(-1), "byte"),
        (raw(b'B', &[0xFF]), U8(255), "unsignedbyte"),
        (raw(b's', &[0xFF, 0xFE]), I16(-2), "short"),
        (raw(b'u', &[0xFF, 0xFE]), U16(65534), "unsignedshort"),
        (raw(b'I', &[0xFF, 0xFF, 0xFF, 0xFD]), I32(-3), "signedint"),
        (raw(b'i', &[0xFF, 0xFF, 0xFF, 0xFD]), U32(4294967293), "unsignedint"),
        (raw(b'l', &[0xFF; 8]), I64(-1), "long"),
        (raw(b'f', &[0x3F, 0xC0, 0, 0]), F32(1.5), "float"),
        (raw(b'd', &[0x3F, 0xF8, 0, 0, 0, 0, 0, 0]), F64(1.5), "double"),
        (raw(b'D', &[2, 0, 0, 1, 0]), Decimal { scale: 2, value: 256 }, "decimal"),
        (raw(b'S', b"\0\0\0\x02\xC3\xA9"), LongString("é".into()), "longstr"),
        (raw(b'A', b"\0\0\0\x03t\0V"), Array(vec![Bool(false), Void]), "array"),
        (raw(b'T', &[0, 0, 0, 0, 0, 0, 1, 0]), Timestamp(256), "timestamp"),
        (raw(b'F', b"\0\0\0\x04\x01at\x01"), Table([("a", true)].into_iter().collect()), "table"),
        (raw(b'V', &[]), Void, "void"),
        (raw(b'x', b"\0\0\0\x01\xFF"), Binary(vec![255]), "binary"),
    ]
}

fn table_of(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put::longstr(&mut out, content);
    out
}

fn decode(content: &[u8]) -> Result<FieldTable, Fault> {
    let input = table_of(content);
    match decode_table(&input) {
        Ok((rest, table)) => {
            assert!(rest.is_empty());
            Ok(table)
        }
        Err(error) => Err(Fault::of(error)),
    }
}

/// Decoding and validating must judge alike.
#[track_caller]
fn check_refused(content: &[u8], fault: Fault) {
    assert_eq!(decode(content), Err(fault));
    assert!(!validate_table(content));
}

#[test]
fn every_type_is_read_and_written() {
    // B1.9
    for (raw, value, name) in every_type() {
        let content = [b"\x03key", &raw[..]].concat();
        assert_eq!(decode(&content).unwrap().get("key"), Some(&value), "{name}");
        assert!(validate_table(&content), "{name}");
        assert_eq!(value.type_name(), name);
        let found = TableReader::new(&content).find(b"key").unwrap();
        assert_eq!(found.decode().unwrap(), value);

        let mut written = Vec::new();
        value.encode(&mut written);
        assert_eq!(written, raw, "{name}");
        // No front of it can pass for the whole.
        for end in 0..content.len() {
            assert_eq!(decode(&content[..end]).is_ok(), end == 0, "{name} cut at {end}");
            assert_eq!(validate_table(&content[..end]), end == 0, "{name} cut at {end}");
        }
    }
}

#[test]
fn two_letters_are_written_differently_from_how_they_were_read() {
    // B1.9: `L` is read as a signed `l`, any octet but 0 is true.
    let table = decode(b"\x01aL\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE\x01bt\x07").unwrap();
    let mut out = Vec::new();
    encode_table(&mut out, &table);
    assert_eq!(out, table_of(b"\x01al\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE\x01bt\x01"));
}

#[test]
fn malformed_tables_are_refused() {
    check_refused(b"\x01aZ", Fault::Table);
    check_refused(b"\x01aU\0\0", Fault::Table);
    check_refused(b"\x05a", Fault::Table);
    check_refused(b"\x01aS\0\0\0\x09short", Fault::Table);
    check_refused(b"\x01aS\xFF\xFF\xFF\xFF", Fault::Table);
    check_refused(b"\x01aF\0\0\0\x02\x01b", Fault::Table);
    check_refused(b"\x01aA\0\0\0\x01t", Fault::Table);
    check_refused(b"\x01aA\0\0\0\x02Z\0", Fault::Table);
    // A length that reaches beyond the input belongs to the layout around the table.
    assert_eq!(decode_table(b"\0\0\0\x05\x01aV").map_err(Fault::of), Err(Fault::Short));
}

#[test]
fn nesting_is_limited() {
    let nested = |letter: u8, name: &[u8], levels: usize| {
        let mut content = Vec::new();
        for _ in 0..levels {
            content = [name, &[letter], &table_of(&content)[..]].concat();
        }
        content
    };
    let tables = |levels| nested(b'F', b"\x00", levels);
    assert!(decode(&tables(NESTING_MAX)).is_ok());
    assert!(validate_table(&tables(NESTING_MAX)));
    check_refused(&tables(NESTING_MAX + 1), Fault::TooDeep);
    let arrays = |levels| [b"\x01a", &nested(b'A', b"", levels)[..]].concat();
    assert!(decode(&arrays(NESTING_MAX)).is_ok());
    assert!(validate_table(&arrays(NESTING_MAX)));
    check_refused(&arrays(NESTING_MAX + 1), Fault::TooDeep);
    // As deep as a large frame allows: a stack that grew with it would overflow here.
    check_refused(&arrays(25_000), Fault::TooDeep);
}

#[test]
fn first_of_two_equal_names_counts() {
    // B1.9
    let content = b"\x01ab\x01\x01bV\x01ab\x02";
    let mut table = decode(content).unwrap();
    assert_eq!(table.get("a"), Some(&FieldValue::I8(1)));
    assert_eq!(TableReader::new(content).find(b"a").unwrap().as_int(), Some(1));
    assert_eq!(table.remove("a"), Some(FieldValue::I8(1)));
    assert_eq!((table.len(), table.get("a")), (1, None));
}

#[test]
fn insert_replaces_in_place() {
    let mut table: FieldTable = [("a", 1), ("b", 2)].into_iter().collect();
    table.insert("a", "text");
    table.insert("c", true);
    assert_eq!(table.iter().map(|(key, _)| key).collect::<String>(), "abc");
    assert_eq!(table.get("a").unwrap().as_str(), Some("text"));
}

#[test]
fn numbers_of_different_width_are_equivalent() {
    // B5.4
    use FieldValue::*;
    for (ours, theirs, expected) in [
        (I32(1000), I64(1000), true),
        (U8(7), I16(7), true),
        (I8(-1), U8(255), false),
        (F32(1.5), F64(1.5), true),
        (I32(1), F64(1.0), false),
        (I32(1000), LongString("1000".into()), false),
        (Timestamp(5), I64(5), false),
        (Bool(true), I8(1), false),
        (LongString("a".into()), Binary("a".into()), false),
        (Array(vec![I8(1)]), Array(vec![I8(1)]), true),
        (Void, Void, true),
    ] {
        assert_eq!(ours.equivalent(&theirs), expected, "{ours:?} {theirs:?}");
        let mut raw = Vec::from(*b"\x00");
        ours.encode(&mut raw);
        let raw = TableReader::new(&raw).find(b"").unwrap();
        assert_eq!(raw.equivalent(&theirs), expected, "{raw:?} {theirs:?}");
    }
}

#[test]
fn values_are_shown_as_in_error_texts() {
    for (value, expected) in [
        (FieldValue::I64(-5), "-5"),
        (true.into(), "true"),
        ("dlx".into(), "dlx"),
        (FieldValue::LongString(vec![b'a', 0xFF]), "a\u{FFFD}"),
        (FieldValue::F64(2.0), "2.0"),
        (FieldValue::Array(vec![1.into(), "b".into()]), "[1,b]"),
    ] {
        assert_eq!(value.to_string(), expected);
    }
}

#[test]
fn names_that_are_not_text_are_replaced_within_255_bytes() {
    let content = [&[255][..], &[0xFF; 255], b"V"].concat();
    let table = decode(&content).unwrap();
    assert_eq!(table.0[0].0.len(), 255);
    assert!(validate_table(&content));
}

#[test]
fn edited_headers_keep_the_other_entries_as_they_were() {
    // B1.9: duplicates, order, letters, names that are not UTF-8.
    let mut headers =
        Headers::from_raw(*b"\x01\xFFL\0\0\0\0\0\0\0\x01\x01kV\x01at\x09\x01kV\x01at\x00");
    headers.set("k", &"new".into());
    assert_eq!(
        headers.as_bytes(),
        b"\x01\xFFL\0\0\0\0\0\0\0\x01\x01kS\0\0\0\x03new\x01at\x09\x01at\x00"
    );
    headers.set("z", &FieldValue::Void);
    assert!(headers.remove("k") && !headers.remove("k"));
    assert_eq!(headers.as_bytes(), b"\x01\xFFL\0\0\0\0\0\0\0\x01\x01at\x09\x01at\x00\x01zV");
    assert_eq!(headers.find("a").unwrap().bytes, [9]);
    let made = Headers::from(&[("a", 1)].into_iter().collect::<FieldTable>());
    assert_eq!(made.as_bytes(), b"\x01aI\0\0\0\x01");
}

fn any_value() -> impl Strategy<Value = FieldValue> {
    use FieldValue::*;
    let leaf = prop_oneof![
        any::<bool>().prop_map(Bool),
        any::<i8>().prop_map(I8),
        any::<u8>().prop_map(U8),
        any::<i16>().prop_map(I16),
        any::<u16>().prop_map(U16),
        any::<i32>().prop_map(I32),
        any::<u32>().prop_map(U32),
        any::<i64>().prop_map(I64),
        any::<f32>().prop_map(F32),
        any::<f64>().prop_map(F64),
        any::<(u8, u32)>().prop_map(|(scale, value)| Decimal { scale, value }),
        any::<Vec<u8>>().prop_map(LongString),
        any::<Vec<u8>>().prop_map(Binary),
        any::<u64>().prop_map(Timestamp),
        Just(Void),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Array),
            prop::collection::vec((".{0,20}", inner), 0..6)
                .prop_map(|pairs| Table(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_table_survives_the_wire(
        table in prop::collection::vec((".{0,20}", any_value()), 0..8)
            .prop_map(|pairs| pairs.into_iter().collect::<FieldTable>())
    ) {
        let mut out = Vec::new();
        encode_table(&mut out, &table);
        prop_assert!(validate_table(&out[4..]));
        let (rest, decoded) = decode_table(&out).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(decoded, table);
    }
}
