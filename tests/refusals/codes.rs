//! Error codes that a provider's own spec knows, refusals of a grant, and a success that is told in the body.

use serde_json::json;

use crate::{
    answers::{CANARY, answer, error},
    case::{Case, Expect, nothing_leaked, spec},
    objects::merged,
    replies::{asked_for, prepare, seed, seeded},
};

/// Codes that the provider lists, and a success that is told in the body.
#[tokio::test(flavor = "multi_thread")]
async fn codes_of_the_providers_own() {
    let (namespace, answers, operator) = prepare("listed").await;
    let listed = json!({"provider": {"tokenResponse": {
        "permanentErrors": ["token_revoked"],
        "temporaryErrors": ["too_soon"],
        "success": {"path": "$.result", "values": ["0000"]},
    }}});
    let lost = |says: &[&str]| Expect { refreshed: "InvalidGrant", ..Expect::stalled("AuthorizationRequired", says) };
    let nothing_to_replace = ["although no refresh token was sent", "check at the provider that the client is active"];
    let result =
        |code: &str| answer("200 OK", "application/json", &json!({"result": code, "text": CANARY}).to_string());
    // The name, the answer, what is said where nothing is kept, and of a single-use refresh token.
    let rows = [
        (
            "permanent",
            error("400 Bad Request", "token_revoked"),
            Expect::stalled("InvalidGrant", &nothing_to_replace),
            lost(&["a code of its permanentErrors", "put a new refresh token into the input Secret"]),
        ),
        (
            "permanent-in-body",
            result("token_revoked"),
            Expect::stalled("InvalidGrant", &nothing_to_replace),
            lost(&["a code of its permanentErrors"]),
        ),
        (
            "grant",
            error("400 Bad Request", "invalid_grant"),
            Expect::stalled("InvalidGrant", &nothing_to_replace),
            lost(&["The provider answered invalid_grant", "put a new refresh token into the input Secret"]),
        ),
        (
            "temporary",
            error("400 Bad Request", "too_soon"),
            Expect::retried("ProviderUnavailable", &["a code of its temporaryErrors", "it is tried again"]),
            Expect::retried("ProviderUnavailable", &["a code of its temporaryErrors", "it is tried again"]),
        ),
        (
            "missed",
            result("9999"),
            Expect::retried("InvalidResponse", &["not a registered one", "list it in permanentErrors"]),
            Expect::retried("OutcomeUnknown", &["not a registered one", "list it in permanentErrors"]),
        ),
    ];
    let succeeding =
        json!({"access_token": "access-x", "refresh_token": "refresh-token-x", "result": "0000"}).to_string();
    let succeeding = answer("200 OK", "application/json", &succeeding);
    let names = ["permanent-kept", "permanent-in-body-kept", "grant-kept", "temporary-kept", "missed-kept"];
    let mut cases = Vec::new();
    for ((name, answer, expect, expect_kept), kept) in rows.into_iter().zip(names) {
        assert_eq!(kept, format!("{name}-kept"));
        let own = spec(&answers.url(name), &listed);
        let cure = if expect.stalled { asked_for(name, &own) } else { vec![] };
        cases.push((answer.clone(), Case { name, given: vec![], spec: own, expect, cure }));

        let (first, grant) = seeded(kept);
        let own = merged(&spec(&answers.url(kept), &listed), &grant);
        let cure = if expect_kept.stalled { vec![seed(kept, &format!("another-{kept}"))] } else { vec![] };
        cases.push((answer, Case { name: kept, given: vec![first], spec: own, expect: expect_kept, cure }));
    }
    futures::future::join_all(cases.iter().map(async |(answer, case)| {
        answers.set(case.name, answer.clone());
        case.goes_wrong(&namespace).await;
        answers.set(case.name, succeeding.clone());
        case.is_cured(&namespace).await;
    }))
    .await;
    nothing_leaked(&namespace, &operator).await;
}
