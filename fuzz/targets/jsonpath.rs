#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| oauth_operator_fuzz::jsonpath::run(input));
