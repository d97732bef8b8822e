//! What a container image's tag stands for now.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The platform that nodes run images on.
pub const IMAGE_PLATFORM: &str = "linux/amd64";

/// An image by digest, as a job spec names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResolvedImage {
    /// `registry/name@sha256:…`, for the `image` of a spec.
    pub image: String,
    /// What a node downloads of it, compressed; absent where the registry does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Always `linux/amd64`.
    pub platform: String,
}
