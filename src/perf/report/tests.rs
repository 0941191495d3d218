use super::*;

fn report(name: &str) -> Report {
    let second = |at: f64, count: u64| Second {
        at,
        seconds: 1.0,
        counts: Counts { sent: count, received: count / 2, confirmed: count, ..Counts::default() },
        latency: Some(Spread { p50_us: 50.0, p95_us: 70.0, p99_us: 900.0, max_us: 12_000.0 }),
        confirm_latency: None,
    };
    let latency = Latency {
        count: 10,
        p50_us: 50.0,
        p75_us: 60.5,
        p95_us: 70.0,
        p99_us: 900.0,
        p999_us: 5_250.0,
        max_us: 1_200_000.0,
        distribution: vec![(0.0, 20.0), (50.0, 50.0), (99.0, 900.0), (100.0, 1_200_000.0)],
        ..Latency::default()
    };
    Report {
        tool: "leveret perf 1".to_owned(),
        name: name.to_owned(),
        command: vec!["leveret".to_owned(), "--queue=<q>".to_owned()],
        broker: "Rabbit&Co".to_owned(),
        uris: vec!["amqp://h:5672".to_owned()],
        seconds: 2.0,
        producers: 1,
        consumers: 2,
        queues: 1,
        counts: Counts { sent: 1_234_567, received: 600, confirmed: 5, ..Counts::default() },
        rates: Rates { sent: 617_283.5, received: 300.0, confirmed: 2.5, ..Rates::default() },
        latency: Some(latency),
        series: vec![second(1.0, 1000), second(2.0, 1_233_567)],
        ..Report::default()
    }
}

#[test]
fn totals_are_a_table() {
    let expected = "\
r: 2.0 s with Rabbit&Co at amqp://h:5672
1 producer, 2 consumers, 1 queue

                    messages        a second        MB/s
sent               1,234,567         617,284         0.0
received                 600             300         0.0
confirmed                  5             2.5

                     p50         p75         p95         p99       p99.9         max
latency          50.0 µs     60.5 µs     70.0 µs      900 µs     5.25 ms      1.20 s
";
    assert_eq!(totals(&report("r")), expected);
}

#[test]
fn a_second_is_a_line() {
    let expected =
        "     1 s  sent 1,000/s  received 500/s  confirmed 1,000/s  latency p50 50.0 µs p99 900 µs";
    assert_eq!(progress_line(&report("r").series[0]), expected);
}

#[test]
fn csv_has_as_many_fields_in_every_line() {
    let csv = csv(&report("r"));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3);
    let fields: Vec<usize> = lines.iter().map(|line| line.split(',').count()).collect();
    assert_eq!(fields, [20, 20, 20]);
    assert!(lines[1].starts_with("1.000,1.000,1000,500,1000,0,"), "{}", lines[1]);
    assert!(lines[1].ends_with(",50,70,900,12000,,,,"), "{}", lines[1]);
}

#[test]
fn json_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r.json");
    write(&path, &report("r").json()).unwrap();
    assert_eq!(Report::read(&path).unwrap(), report("r"));
    // A later version may know more, or not say everything.
    write(&path, r#"{"tool": "leveret perf 9", "colour": "red"}"#).unwrap();
    assert_eq!(Report::read(&path).unwrap().series, []);
    for (text, part) in [("{}", "not what leveret perf writes"), ("{", "EOF"), ("[1]", "invalid")] {
        write(&path, text).unwrap();
        let error = Report::read(&path).expect_err(text).to_string();
        assert!(error.contains(part) && error.contains("r.json"), "{error}");
    }
}

/// Tags that were opened and not closed, in a page whose attributes all stand in quotes.
fn unbalanced(page: &str) -> Vec<String> {
    let mut open = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag ends");
        let name = tag.split_whitespace().next().unwrap_or_default();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{part}");
        } else if !tag.ends_with('/') && !["!doctype", "meta"].contains(&name) {
            open.push(name.to_owned());
        }
    }
    open
}

#[test]
fn pages_escape_what_others_wrote() {
    let evil = "<script>alert(\"1\")</script>'&";
    let mut one = report(evil);
    one.error = Some(evil.to_owned());
    one.broker = evil.to_owned();
    one.uris = vec![evil.to_owned()];
    one.command = vec![evil.to_owned()];
    for page in [page(&[one.clone()]), page(&[one.clone(), report("b")])] {
        assert!(!page.contains("<script") && !page.contains("\"1\""), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;"));
        assert_eq!(unbalanced(&page), [""; 0]);
    }
}

#[test]
fn pages_ask_nobody_for_anything() {
    let page = page(&[report("a"), report("b")]);
    for part in ["http://", "https://", "src=", "href=", "url(", "@import", "<link"] {
        assert!(!page.contains(part), "{part}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn every_run_has_its_lines() {
    let count = |page: &str, part: &str| page.matches(part).count();
    let one = page(&[report("a")]);
    assert_eq!(count(&one, "<svg"), 3);
    for name in ["sent", "received", "confirmed", "p50", "p99", "latency"] {
        assert!(one.contains(&format!("<i></i>{name}</li>")), "{name}");
    }
    let two = page(&[report("a"), report("b")]);
    for name in ["a, sent", "b, received", "a, p99", "b, latency"] {
        assert!(two.contains(&format!("<i></i>{name}</li>")), "{name}");
    }
    // Nothing was measured: no plot, and no division by it.
    let none = page(&[Report::default()]);
    assert_eq!((count(&none, "<svg"), count(&none, "NaN")), (0, 0));
    assert_eq!(unbalanced(&none), [""; 0]);
}

#[test]
fn points_lie_within_the_plot() {
    let page = page(&[report("a")]);
    let mut seen = 0;
    for points in page.split("points=\"").skip(1) {
        let (points, _) = points.split_once('"').unwrap();
        for point in points.split(' ').filter(|point| !point.is_empty()) {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((78.0..=844.0).contains(&x) && (14.0..=258.0).contains(&y), "{point}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 + 2 + 2 + 2 + 2 + 4);
}
