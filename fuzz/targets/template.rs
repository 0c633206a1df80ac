#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // libFuzzer's hook ends the process at every panic; the engine's own are contained.
        let end = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.location().is_some_and(|at| at.file().contains("minijinja")) {
                end(panic);
            }
        }));
    },
    |input: &[u8]| oauth_operator_fuzz::template::run(input)
);
