//! An RPC endpoint that misbehaves on demand: a proxy in front of anvil that spoils requests or answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::{hex, keccak256};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// What an endpoint can do wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// A gateway answers that nobody is behind it.
    Down,
    /// It does what it is asked, and answers later than anybody waits.
    Slow(Duration),
    /// It takes longer than anybody waits over the events of more blocks than these.
    SlowEvents {
        blocks_max: u64,
    },
    /// It has seen no block above this one.
    Behind {
        at: u64,
    },
    /// Above this block it follows another branch, whose blocks are as many, and empty.
    Branch {
        above: u64,
    },
    /// It passes transactions on, and answers with an error of its own.
    ErrorAfterSend,
    /// It passes transactions on, and the connection breaks.
    BrokenAfterSend,
    /// It takes transactions, and never passes them on.
    Swallow,
    /// It refuses this method, with an error of its own.
    Refuse {
        method: &'static str,
    },
    /// It serves another chain by now.
    OtherChain,
    Garbage(Garbage),
}

/// Answers that nobody can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Garbage {
    NotJson,
    WrongTypes,
    NullBlocks,
    /// Every block, whatever was asked for, has the highest number there is.
    LastBlock,
    /// Every block is from the end of time.
    FarFuture,
    HugeNumbers,
    /// A body that has no end.
    Endless,
}

/// One endpoint. It ends with the test's runtime.
pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
    http: reqwest::Client,
    fault: Mutex<Option<Fault>>,
    spoiled: AtomicU64,
    asked: Mutex<HashMap<String, u64>>,
}

impl Proxy {
    /// An honest proxy, until it is told otherwise.
    pub(crate) async fn start(target: &str) -> Self {
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            http: reqwest::Client::new(),
            fault: Mutex::default(),
            spoiled: AtomicU64::new(0),
            asked: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// From now on it does this wrong.
    pub(crate) fn inject(&self, fault: Fault) {
        *lock(&self.shared.fault) = Some(fault);
    }

    /// From now on it does nothing wrong. It must have done so before: a fault that met nobody shows nothing.
    pub(crate) fn heal(&self) {
        *lock(&self.shared.fault) = None;
        let spoiled = self.shared.spoiled.swap(0, Ordering::SeqCst);
        assert!(spoiled > 0, "nobody met the fault");
    }

    /// How often a method was asked for.
    pub(crate) fn asked(&self, method: &str) -> u64 {
        lock(&self.shared.asked).get(method).copied().unwrap_or(0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).expect("the scheduler sends JSON");
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    *lock(&shared.asked).entry(method.clone()).or_default() += 1;
    let fault = *lock(&shared.fault);
    match fault {
        None => shared.forward(&request).await.into_response(),
        Some(fault) => shared.spoil(fault, &method, request).await,
    }
}

impl Shared {
    async fn forward(&self, request: &Value) -> String {
        let answer = self.http.post(&self.target).json(request).send().await;
        answer.expect("anvil answers").text().await.expect("with text")
    }

    async fn ask(&self, request: &Value) -> Value {
        serde_json::from_str(&self.forward(request).await).expect("anvil sends JSON")
    }

    async fn spoil(&self, fault: Fault, method: &str, request: Value) -> Response {
        let is_send = method == "eth_sendRawTransaction";
        let spoils = || self.spoiled.fetch_add(1, Ordering::SeqCst);
        match fault {
            Fault::Down => {
                spoils();
                (StatusCode::BAD_GATEWAY, "<html>502 Bad Gateway</html>").into_response()
            }
            Fault::Slow(pause) => {
                spoils();
                let answer = self.forward(&request).await;
                tokio::time::sleep(pause).await;
                answer.into_response()
            }
            Fault::SlowEvents { blocks_max } => {
                let bound = |name: &str| block_number(&request["params"][0][name]);
                if method == "eth_getLogs"
                    && let (Some(from), Some(to)) = (bound("fromBlock"), bound("toBlock"))
                    && to - from >= blocks_max
                {
                    spoils();
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                self.forward(&request).await.into_response()
            }
            Fault::Behind { at } => {
                spoils();
                self.as_of(at, None, method, request).await.to_string().into_response()
            }
            Fault::Branch { above } => {
                spoils();
                self.as_of(above, Some(above), method, request).await.to_string().into_response()
            }
            Fault::ErrorAfterSend if is_send => {
                spoils();
                self.forward(&request).await;
                refusal(&request, "internal error").to_string().into_response()
            }
            Fault::BrokenAfterSend if is_send => {
                spoils();
                self.forward(&request).await;
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            Fault::Swallow if is_send => {
                spoils();
                let raw = request["params"][0].as_str().unwrap_or_default();
                let hash = keccak256(hex::decode(raw).expect("bytes in hexadecimal"));
                result(&request, json!(hash)).to_string().into_response()
            }
            Fault::Refuse { method: refused } if method == refused => {
                spoils();
                refusal(&request, "this method is not available today").to_string().into_response()
            }
            Fault::OtherChain if method == "eth_chainId" => {
                spoils();
                result(&request, json!("0x27")).to_string().into_response()
            }
            Fault::ErrorAfterSend
            | Fault::BrokenAfterSend
            | Fault::Swallow
            | Fault::Refuse { .. }
            | Fault::OtherChain => self.forward(&request).await.into_response(),
            Fault::Garbage(garbage) => {
                spoils();
                self.garbage(garbage, method, &request).await
            }
        }
    }

    /// The answer of an endpoint that has no block above `at`, or empty ones of another branch above `branch`.
    async fn as_of(&self, at: u64, branch: Option<u64>, method: &str, mut request: Value) -> Value {
        if let Some(params) = request["params"].as_array_mut()
            && !matches!(method, "eth_getBlockByNumber" | "eth_getBlockByHash")
        {
            for param in params.iter_mut() {
                let name = param.as_str().unwrap_or_default();
                let is_newest = matches!(name, "latest" | "pending");
                // Only block numbers are that short.
                let number = number(name).filter(|_| name.len() < 12);
                if is_newest || (branch.is_some() && number.is_some_and(|number| number > at)) {
                    *param = json!(format!("{at:#x}"));
                } else if number.is_some_and(|number| number > at) {
                    return refusal(&request, "header not found");
                }
            }
        }
        match method {
            "eth_blockNumber" if branch.is_none() => result(&request, json!(format!("{at:#x}"))),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => {
                let asked = &mut request["params"][0];
                if branch.is_none() && asked == "latest" {
                    *asked = json!(format!("{at:#x}"));
                }
                let mut direct = self.ask(&request).await;
                if let Some(above) = branch {
                    if direct["result"].is_null() && method == "eth_getBlockByHash" {
                        let hash = request["params"][0].clone();
                        request["params"][0] = mirrored(&hash);
                        direct = self.ask(&request).await;
                    }
                    let number = block_number(&direct["result"]["number"]);
                    for (field, begins) in [("hash", above + 1), ("parentHash", above + 2)] {
                        if number.is_some_and(|number| number >= begins) {
                            direct["result"][field] = mirrored(&direct["result"][field]);
                        }
                    }
                } else if block_number(&direct["result"]["number"]).is_some_and(|it| it > at) {
                    direct["result"] = Value::Null;
                }
                direct
            }
            "eth_getTransactionReceipt" => {
                let mut direct = self.ask(&request).await;
                if block_number(&direct["result"]["blockNumber"]).is_some_and(|it| it > at) {
                    direct["result"] = Value::Null;
                }
                direct
            }
            "eth_getLogs" => {
                let filter = &mut request["params"][0];
                if block_number(&filter["fromBlock"]).is_some_and(|from| from > at) {
                    return result(&request, json!([]));
                }
                if block_number(&filter["toBlock"]).is_some_and(|to| to > at) {
                    filter["toBlock"] = json!(format!("{at:#x}"));
                }
                self.ask(&request).await
            }
            _ => self.ask(&request).await,
        }
    }

    async fn garbage(&self, garbage: Garbage, method: &str, request: &Value) -> Response {
        let is_block = method.starts_with("eth_getBlock");
        let with = |field: &'static str, value: &'static str| async move {
            let mut answer = self.ask(request).await;
            if is_block && answer["result"].is_object() {
                answer["result"][field] = json!(value);
            }
            answer.to_string().into_response()
        };
        match garbage {
            Garbage::NotJson => "the mill is closed on Sundays".into_response(),
            Garbage::WrongTypes => {
                result(request, json!({"number": true})).to_string().into_response()
            }
            Garbage::NullBlocks => result(request, Value::Null).to_string().into_response(),
            Garbage::LastBlock => with("number", "0xffffffffffffffff").await,
            Garbage::FarFuture => with("timestamp", "0xffffffffffff").await,
            Garbage::HugeNumbers => {
                let most = json!("0xffffffffffffffffffffffffffffffff");
                let fees = json!({
                    "oldestBlock": "0x1",
                    "baseFeePerGas": [most, most, most],
                    "gasUsedRatio": [0.5, 0.5],
                    "reward": [[most], [most]],
                });
                match method {
                    "eth_feeHistory" => result(request, fees).to_string().into_response(),
                    _ => self.forward(request).await.into_response(),
                }
            }
            Garbage::Endless => {
                let chunk = Bytes::from(vec![b' '; 1 << 16]);
                let endless = futures_util::stream::repeat_with(move || {
                    Ok::<_, std::convert::Infallible>(chunk.clone())
                });
                Body::from_stream(endless).into_response()
            }
        }
    }
}

fn result(request: &Value, value: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": request["id"], "result": value})
}

fn refusal(request: &Value, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": message}})
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn block_number(value: &Value) -> Option<u64> {
    number(value.as_str()?)
}

/// The hash of the other branch's block for a hash of this one, and back.
fn mirrored(hash: &Value) -> Value {
    let mut hash: alloy::primitives::B256 =
        hash.as_str().unwrap_or_default().parse().expect("a hash");
    hash.0[0] ^= 0xff;
    json!(hash)
}
