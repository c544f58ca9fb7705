// Generates the client from the contract; needs protoc.
fn main() -> std::io::Result<()> {
    let contract = ["session_event", "session_event_service"].map(|name| format!("deskbridge/v1/{name}.proto"));
    tonic_prost_build::configure().build_server(false).compile_protos(&contract, &["../../proto".into()])
}
