//! Prints what human agents and their users write, as it happens. Arguments: the bridge's URL, and a cursor to go on
//! behind.

mod deskbridge {
    tonic::include_proto!("deskbridge.v1");
}

use deskbridge::session_event_service_client::SessionEventServiceClient;
use deskbridge::subscribe_request::Start;
use deskbridge::subscribe_response::Kind;
use deskbridge::{EventFilter, SubscribeRequest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or("http://127.0.0.1:9090".into());
    let bridge = tonic::transport::Endpoint::from_shared(url)?
        .http2_keep_alive_interval(std::time::Duration::from_secs(20))
        .connect()
        .await?;
    let request = SubscribeRequest {
        filter: Some(EventFilter { type_names: vec!["Human.*".into()], ..Default::default() }),
        start: arguments.next().map(Start::AfterCursor),
        ..Default::default()
    };
    let mut stream = SessionEventServiceClient::new(bridge).subscribe(request).await?.into_inner();
    while let Some(response) = stream.message().await? {
        if let Some(Kind::Events(batch)) = response.kind {
            for event in batch.events {
                println!("{} {} {}", event.position, event.type_name(), event.session_id());
            }
            println!("done up to {}", response.cursor); // store it: it is where to go on
        }
    }
    Ok(())
}
