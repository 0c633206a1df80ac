//! What each fault looks like from outside, and whether it cost the token.

use super::*;
use crate::standin::{Delivery, Fault, Reply, Symptom};

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_before_spends_nothing_and_one_after_spends_the_token() {
    type Make = fn(Symptom) -> Fault;
    let refresh =
        |standin: &Standin, token: &str| exchange(connect(standin), &hover_raw(JSON, &refresh_body(token).to_string()));
    for (fault, then) in [(Fault::Before as Make, 200), (Fault::After as Make, 401)] {
        for symptom in [Symptom::Close, Symptom::Reset, Symptom::Answer(Reply::html(200, "<p>hello</p>"))] {
            let standin = Standin::start(Hover::default()).await;
            let seed = standin.seed();
            standin.inject(fault(symptom.clone()));
            match (refresh(&standin, &seed), &symptom) {
                (Err(error), Symptom::Close) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
                (Err(error), Symptom::Reset) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
                (Ok(answer), Symptom::Answer(_)) => {
                    assert_eq!((answer.status, answer.body.as_str()), (200, "<p>hello</p>"));
                    assert!(answer.head.contains("content-type: text/html"));
                }
                (result, symptom) => panic!("{symptom:?} looks like {:?}", result.map(|answer| answer.status)),
            }
            assert_eq!(refresh(&standin, &seed).unwrap().status, then, "{symptom:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_request_has_arrived_and_its_token_is_spent_or_not() {
    for (fault, then) in [(Fault::Before(Symptom::Hang), 200), (Fault::After(Symptom::Hang), 401)] {
        let standin = Standin::start(Hover::default()).await;
        let seed = standin.seed();
        standin.inject(fault);
        let mut stream = connect(&standin);
        stream.write_all(hover_raw(JSON, &refresh_body(&seed).to_string()).as_bytes()).unwrap();
        standin.arrived(1).await;
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(stream);
        assert_eq!(hover_refresh(&standin, &seed).status, then);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_travel_badly_as_asked() {
    let standin = Standin::start(Hover::default()).await;
    let seed = standin.seed();

    standin.inject(Fault::Reply(Delivery::Truncated));
    let half = hover_refresh(&standin, &seed);
    let promised = half.head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(promised.parse::<usize>().unwrap() / 2, half.body.len());
    assert_eq!(hover_refresh(&standin, &seed).status, 401, "the token was spent");

    for declared in [true, false] {
        standin.inject(Fault::Reply(Delivery::Padded { blanks: 100_000, declared }));
        let big = hover_refresh(&standin, &standin.seed());
        assert!(big.body.len() > 100_000);
        assert_eq!(big.head.contains("content-length: "), declared);
        assert_eq!(big.head.contains("transfer-encoding: chunked"), !declared);
        if declared {
            assert_eq!(big.json()["owner_id"], json!(785));
        }
    }

    standin.inject(Fault::Reply(Delivery::Slow(Duration::from_millis(2))));
    let began = Instant::now();
    let slow = hover_refresh(&standin, &standin.seed());
    assert_eq!(slow.json()["owner_id"], json!(785));
    assert!(began.elapsed() >= Duration::from_millis(2) * u32::try_from(slow.body.len()).unwrap());

    standin.set_latency(Duration::from_millis(100));
    let began = Instant::now();
    assert_eq!(hover_refresh(&standin, &standin.seed()).status, 200);
    assert!(began.elapsed() >= Duration::from_millis(100));
}
