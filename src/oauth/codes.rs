//! The error codes that are known from registered specifications. Only these may be shown to users: any other text in
//! a reply is the server's own.

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// An error code of RFC 6749 section 5.2, RFC 8628, RFC 8693, RFC 7009, OpenID Connect Core or CIBA.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)+ }

        impl ErrorCode {
            /// Every known code.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),+];

            /// The code as it is registered.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $code,)+ }
            }

            /// The code of this text, if it is known. Case counts, as RFC 6749 has it.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($code => Some(ErrorCode::$name),)+ _ => None }
            }
        }
    };
}

error_codes! {
    /// RFC 6749 section 5.2.
    InvalidRequest = "invalid_request",
    InvalidClient = "invalid_client",
    InvalidGrant = "invalid_grant",
    UnauthorizedClient = "unauthorized_client",
    UnsupportedGrantType = "unsupported_grant_type",
    InvalidScope = "invalid_scope",
    /// RFC 6749 section 4.1.2.1; servers send them from the token endpoint too.
    AccessDenied = "access_denied",
    ServerError = "server_error",
    TemporarilyUnavailable = "temporarily_unavailable",
    /// RFC 8628 section 3.5.
    AuthorizationPending = "authorization_pending",
    SlowDown = "slow_down",
    ExpiredToken = "expired_token",
    /// RFC 8693 section 2.2.2.
    InvalidTarget = "invalid_target",
    /// RFC 9396 section 5.
    InvalidAuthorizationDetails = "invalid_authorization_details",
    /// RFC 7009 section 2.2.1.
    UnsupportedTokenType = "unsupported_token_type",
    /// OpenID Connect Core section 3.1.2.6.
    InteractionRequired = "interaction_required",
    LoginRequired = "login_required",
    ConsentRequired = "consent_required",
    AccountSelectionRequired = "account_selection_required",
}
