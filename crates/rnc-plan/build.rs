//! Generates the messages of `proto/plan.proto`; protox stands in for `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/plan.proto");
    let descriptors = protox::compile(["plan.proto"], ["proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
