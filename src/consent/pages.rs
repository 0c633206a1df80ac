//! What the pages say. Each says what happened and what to do; none repeats what a request brought, save a ticket that was right.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use minijinja::{AutoEscape, Environment, Value, context};
use sha2::{Digest, Sha256};

use super::respond;
use crate::controller::browser::Asked;

const STYLE: &str = include_str!("page.css");
/// Moves a ticket out of the address's fragment, which no server sees, into the form, and out of the history.
const SCRIPT: &str = include_str!("ticket.js");
const NAME: &str = "page";

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // A test renders every page: a template that doesn't parse is found there.
    let _ = environment.add_template(NAME, include_str!("page.html"));
    environment
});

/// Nothing but what stands here: no other script, style, image or frame, and no form that goes elsewhere. The way to the provider is a
/// link and a refresh, since browsers hold a form's redirects against form-action too.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// A form of the start page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Ticket,
    Continue { ticket: String },
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    status: StatusCode,
    tone: &'static str,
    title: &'static str,
    paragraphs: Vec<String>,
    facts: Vec<(&'static str, Vec<String>)>,
    warning: Option<String>,
    form: Option<Form>,
    /// Where the browser goes by itself.
    leave: Option<String>,
    commands: Vec<String>,
}

impl Page {
    fn new(status: StatusCode, tone: &'static str, title: &'static str, paragraphs: &[&str]) -> Self {
        Self {
            status,
            tone,
            title,
            paragraphs: paragraphs.iter().map(|&paragraph| paragraph.to_owned()).collect(),
            facts: Vec::new(),
            warning: None,
            form: None,
            leave: None,
            commands: Vec::new(),
        }
    }

    fn bad(status: StatusCode, title: &'static str, paragraphs: &[&str]) -> Self {
        Self::new(status, "bad", title, paragraphs)
    }

    /// The page as it is sent.
    pub fn response(&self) -> Response<Full<Bytes>> {
        respond(self.status, &POLICY, self.render())
    }

    fn render(&self) -> String {
        let (form, ticket) = match &self.form {
            None => ("", ""),
            Some(Form::Ticket) => ("ticket", ""),
            Some(Form::Continue { ticket }) => ("continue", ticket.as_str()),
        };
        let context = context! {
            tone => self.tone,
            title => self.title,
            paragraphs => &self.paragraphs,
            facts => &self.facts,
            warning => &self.warning,
            form => form,
            ticket => ticket,
            leave => &self.leave,
            commands => &self.commands,
            style => Value::from_safe_string(STYLE.to_owned()),
            script => Value::from_safe_string(SCRIPT.to_owned()),
        };
        let rendered = ENVIRONMENT.get_template(NAME).and_then(|template| template.render(context));
        // Never seen: the tests render each page.
        rendered.unwrap_or_else(|_| self.title.to_owned())
    }

    // Before.

    pub fn ticket() -> Self {
        let paragraphs = [
            "Somebody asked for your consent, so that a workload in a Kubernetes cluster can act on your behalf.",
            "With the ticket you will see what it is for. Nothing is asked of the provider before you continue.",
        ];
        Self { form: Some(Form::Ticket), ..Self::new(StatusCode::OK, "ask", "Give your consent", &paragraphs) }
    }

    pub fn asked(asked: &Asked, ticket: &str) -> Self {
        let one = |text: &str| vec![text.to_owned()];
        let scopes = match asked.scopes.is_empty() {
            true => one("what the provider gives by default"),
            false => asked.scopes.clone(),
        };
        let mut facts = vec![
            ("Credential", one(&asked.name)),
            ("Namespace", one(&asked.namespace)),
            ("Provider", one(&asked.provider)),
            ("Client", one(&asked.client_id)),
            ("Scopes", scopes),
        ];
        facts.extend(asked.expected_subject.as_deref().map(|subject| ("Account that must consent", one(subject))));
        let warning = format!(
            "Whoever may read the Secrets of the namespace {} will be able to act as you at {}, within these scopes, until you withdraw it there. Continue only if you know who asks.",
            asked.namespace, asked.provider
        );
        let paragraphs = ["Continue takes you to the provider, where you log in and allow this, or not."];
        Self {
            facts,
            warning: Some(warning),
            form: Some(Form::Continue { ticket: ticket.to_owned() }),
            ..Self::new(StatusCode::OK, "ask", "This is what you are asked for", &paragraphs)
        }
    }

    pub fn leaving(asked: &Asked, url: &str) -> Self {
        let after = match asked.returns_here {
            true => "Afterwards it brings you back here.",
            false => {
                "Afterwards it takes you to an address that is not this operator's. Copy that whole address, and paste it into kubectl oauth authorize --paste, or into the key response of the Consent Secret."
            }
        };
        let paragraph = format!("You are on your way to {}.", asked.provider);
        Self {
            leave: Some(url.to_owned()),
            ..Self::new(StatusCode::OK, "ask", "On to the provider", &[&paragraph, after])
        }
    }

    // After.

    pub fn linked(namespace: &str, name: &str, subject: Option<&str>) -> Self {
        let mut facts = vec![("Credential", vec![name.to_owned()]), ("Namespace", vec![namespace.to_owned()])];
        facts.extend(subject.map(|subject| ("Consent of", vec![subject.to_owned()])));
        let paragraphs = [
            "The token is in its Secret and will be kept fresh from now on. You can close this page.",
            "To take your consent back, withdraw it at the provider.",
        ];
        Self { facts, ..Self::new(StatusCode::OK, "good", "Your consent has arrived", &paragraphs) }
    }

    pub fn waiting(namespace: &str, name: &str) -> Self {
        let paragraphs = [
            "Your consent has been received, and waits for the operator to use it. That can take a minute where its leader has just changed. You can close this page.",
            "Whether it has come about is told by:",
        ];
        let command = format!("kubectl get oauthcredential {name} --namespace {namespace}");
        Self {
            commands: vec![command],
            ..Self::new(StatusCode::ACCEPTED, "ask", "Waiting for the operator", &paragraphs)
        }
    }

    pub fn failed(sentence: &str) -> Self {
        let again = "Nothing else has changed: a token that was there before is still kept fresh.";
        Self::bad(StatusCode::OK, "This consent brought nothing", &[sentence, again])
    }

    // Turned away.

    pub fn wrong_ticket() -> Self {
        let paragraphs = [
            "No consent waits for this ticket at this address: it was used, or is for another credential, or its Secret is gone.",
            "Ask for a new one with kubectl oauth authorize, or by creating the Consent Secret again.",
        ];
        Self::bad(StatusCode::FORBIDDEN, "The ticket doesn't fit", &paragraphs)
    }

    pub fn expired() -> Self {
        let paragraphs =
            ["A ticket is good for an hour, and that is over. Ask for a new one with kubectl oauth authorize."];
        Self::bad(StatusCode::GONE, "This took too long", &paragraphs)
    }

    pub fn answered() -> Self {
        let paragraphs = [
            "A response has come already, and the first one counts: the operator is using it now.",
            "If it brings nothing, the credential's status says why; then ask for a new ticket.",
        ];
        Self::bad(StatusCode::CONFLICT, "There is an answer already", &paragraphs)
    }

    pub fn foreign_state() -> Self {
        let paragraphs = [
            "What came back doesn't belong to a consent that this browser has begun and that still waits. It was used already, or it is too old, or somebody sent you a link of their own.",
            "If you have just consented, look at the credential's status: it may have come about. Else begin again at the start page, and ignore links that others send you to this address.",
        ];
        Self::bad(StatusCode::FORBIDDEN, "This is not yours to bring, or not any more", &paragraphs)
    }

    pub fn other_issuer() -> Self {
        let paragraphs = [
            "The response is not from the provider that you were sent to, or doesn't say whose it is. It was not used.",
            "Begin again at the start page. If this happens again, tell whoever runs the provider object: its issuer may be wrong.",
        ];
        Self::bad(StatusCode::FORBIDDEN, "Another server answered", &paragraphs)
    }

    pub fn no_cookie() -> Self {
        let paragraphs = [
            "This browser has begun no consent that this response belongs to: its cookie is missing. Begin again at the start page, in this browser, with cookies allowed. If somebody sent you this address, close it.",
            "If you were sent to the provider by the key authorization-url of a Consent Secret, copy the address of this page into its key response.",
        ];
        Self::bad(StatusCode::FORBIDDEN, "Not begun in this browser", &paragraphs)
    }

    pub fn malformed() -> Self {
        let paragraphs =
            ["This is no response of an authorization server to this operator. Begin again at the start page."];
        Self::bad(StatusCode::BAD_REQUEST, "The response can't be read", &paragraphs)
    }

    pub fn nothing_returned() -> Self {
        let paragraphs = [
            "This is where providers send people back to after a consent. You came without one.",
            "A consent begins at the credential's start page, which is in its status.",
        ];
        Self::bad(StatusCode::BAD_REQUEST, "Nothing came back", &paragraphs)
    }

    pub fn problem(sentence: &str) -> Self {
        let paragraphs = ["The credential or its provider is not in order yet:", sentence];
        Self::bad(StatusCode::SERVICE_UNAVAILABLE, "This can't begin", &paragraphs)
    }

    pub fn unavailable() -> Self {
        let paragraphs =
            ["The operator, the cluster or the provider doesn't answer just now. Load this page again in a minute."];
        Self::bad(StatusCode::SERVICE_UNAVAILABLE, "Not now", &paragraphs)
    }

    pub fn foreign_form() -> Self {
        let paragraphs = [
            "This form was sent by another site, or by a browser that doesn't say whose it is. Open the start page itself.",
        ];
        Self::bad(StatusCode::FORBIDDEN, "Not from here", &paragraphs)
    }

    pub fn bad_form() -> Self {
        let paragraphs = ["What was sent is not this page's form. Open the start page again."];
        Self::bad(StatusCode::BAD_REQUEST, "The form can't be read", &paragraphs)
    }

    pub fn not_found() -> Self {
        let paragraphs = ["There is no such page. A credential's start page is in its status, at authorization.url."];
        Self::bad(StatusCode::NOT_FOUND, "Not here", &paragraphs)
    }

    pub fn method_not_allowed() -> Self {
        Self::bad(StatusCode::METHOD_NOT_ALLOWED, "Not like this", &["Open the page with a browser."])
    }
}

#[cfg(test)]
pub(super) mod every {
    use super::*;

    pub const ASKED: fn() -> Asked = || Asked {
        namespace: "team-a".into(),
        name: "hover".into(),
        provider: "idp.example".into(),
        client_id: "<script>alert(1)</script>".into(),
        scopes: vec!["all".into(), "\"><img>".into()],
        expected_subject: Some("robot".into()),
        returns_here: false,
    };

    /// Each page there is, with what has to be escaped in it.
    pub fn page() -> Vec<Page> {
        vec![
            Page::ticket(),
            Page::asked(&ASKED(), "tick\"et"),
            Page::leaving(&ASKED(), "https://idp.example/authorize?a=b&c=\"d"),
            Page::linked("team-a", "hover", Some("<b>robot</b>")),
            Page::waiting("team-a", "hover"),
            Page::failed("<i>no</i>"),
            Page::wrong_ticket(),
            Page::expired(),
            Page::answered(),
            Page::foreign_state(),
            Page::other_issuer(),
            Page::no_cookie(),
            Page::malformed(),
            Page::nothing_returned(),
            Page::problem("<i>no</i>"),
            Page::unavailable(),
            Page::foreign_form(),
            Page::bad_form(),
            Page::not_found(),
            Page::method_not_allowed(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_whole_and_escaped() {
        for page in every::page() {
            let html = page.render();
            assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"), "{}", page.title);
            assert_eq!(html.matches("<h1>").count(), 1);
            for raw in ["<b>robot", "<i>no", "<script>alert", "\"><img>", "tick\"et", "c=\"d"] {
                assert!(!html.contains(raw), "{raw} in {}", page.title);
            }
            let scripts = if page.form == Some(Form::Ticket) { 1 } else { 0 };
            assert_eq!(html.matches("<script>").count(), scripts, "{}", page.title);
            assert!(!html.contains("http-equiv") || page.leave.is_some());
            assert!(!html.contains(" src=") && !html.contains(" style="), "nothing that the policy would refuse");
        }
    }

    #[test]
    fn what_is_inline_is_what_the_policy_allows() {
        let html = Page::ticket().render();
        for (open, close, source) in [("<style>", "</style>", "style-src"), ("<script>", "</script>", "script-src")] {
            let inline = html.split(open).nth(1).unwrap().split(close).next().unwrap();
            let hash = STANDARD.encode(Sha256::digest(inline));
            assert!(POLICY.contains(&format!("{source} 'sha256-{hash}'")), "{source}");
        }
    }

    #[test]
    fn the_page_that_asks_names_everything() {
        let html = Page::asked(&every::ASKED(), "ticket").render();
        for part in ["team-a", "hover", "idp.example", "&lt;script&gt;", "all", "robot", "Continue only if"] {
            assert!(html.contains(part), "{part}");
        }
    }
}
