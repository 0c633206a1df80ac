//! What the shaped endpoint takes, and that it takes nothing else.

use super::*;
use crate::standin::{Carried, Proof, Shaped};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
/// `shaped%2F1:s3cr3t+%2541%2B%26%3D%3A%2F%C3%BC`.
const BASIC: &str = "Authorization: Basic c2hhcGVkJTJGMTpzM2NyM3QrJTI1NDElMkIlMjYlM0QlM0ElMkYlQzMlQkM=\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_shaped_endpoint_takes_one_shape_alone() {
    let standin = Standin::start(Shaped::new(Carried::Form, Proof::BasicForm)).await;
    let good = format!("grant_type=refresh_token&refresh_token={}", standin.seed());
    let headers = format!("{FORM}{BASIC}");
    let cases = [
        ("GET", "/shaped/token", headers.as_str(), good.clone(), 400),
        ("POST", "/shaped/token?a=b", &headers, good.clone(), 400),
        ("POST", "/shaped/token", BASIC, good.clone(), 400),
        ("POST", "/shaped/token", FORM, good.clone(), 401),
        ("POST", "/shaped/token", "Content-Type: application/json\r\n", "{}".to_owned(), 400),
        ("POST", "/shaped/token", &headers, format!("{good}&scope=read"), 400),
        ("POST", "/shaped/token", &headers, format!("{good}x"), 400),
        ("POST", "/shaped/token", &headers, "grant_type=client_credentials".to_owned(), 400),
        ("POST", "/elsewhere", &headers, good.clone(), 404),
        ("POST", "/shaped/token", &headers, good.clone(), 200),
        ("POST", "/shaped/token", &headers, good, 400),
    ];
    for (at, (method, target, headers, body, status)) in cases.into_iter().enumerate() {
        assert_eq!(send(&standin, &raw(method, target, headers, &body)).status, status, "case {at}");
    }
    assert_eq!(standin.replays(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shaped_endpoint_reads_the_query_of_a_get() {
    let standin = Standin::start(Shaped::new(Carried::Get, Proof::Public)).await;
    let target =
        format!("/shaped/token?grant_type=refresh_token&client_id=shaped%2F1&refresh_token={}", standin.seed());
    assert_eq!(send(&standin, &raw("POST", &target, "", "")).status, 400);
    assert_eq!(send(&standin, &raw("GET", &target, FORM, "")).status, 400);
    assert_eq!(send(&standin, &raw("GET", &target.replace("%2F1", "2"), "", "")).status, 401);
    let answer = send(&standin, &raw("GET", &target, "", ""));
    assert_eq!(answer.status, 200);
    assert_keys(&answer.json(), &["access_token", "expires_in", "token_type", "refresh_token"]);
}
