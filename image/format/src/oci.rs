//! Container images in an OCI archive: a tar of an image layout (OCI image-spec 1.1) that `ctr images import` takes without a registry.

use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::epoch::Epoch;
use crate::tar;
use crate::tree::{Tree, TreeError};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// Not compressed: the archive lies in a compressed image already, and the box need not unpack it twice.
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// A container image of one layer.
#[derive(Debug, Clone)]
pub struct ContainerImage<'parts> {
    /// Full reference, registry and tag included: `registry.k8s.io/pause:3.10`.
    pub reference: &'parts str,
    /// Architecture by Go's name, which is Debian's too: `amd64`, `arm64`.
    pub architecture: &'parts str,
    /// Its files.
    pub root: &'parts Tree,
    /// Program and first arguments.
    pub entrypoint: &'parts [String],
    /// Arguments that a container may replace.
    pub command: &'parts [String],
    /// `NAME=value`.
    pub environment: &'parts [String],
    /// User and group, `65532:65532`; empty is root.
    pub user: &'parts str,
    /// When it was made, and the time of its files.
    pub epoch: Epoch,
}

/// Why no archive could be made.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A reference that containerd would complete or refuse.
    #[error("`{reference}` is not a full image reference; write it with registry and tag, like registry.k8s.io/pause:3.10")]
    Reference {
        /// The reference.
        reference: String,
    },
    /// The layer could not be packed.
    #[error("the layer could not be packed")]
    Layer(#[source] io::Error),
    /// The archive could not be put together.
    #[error("the archive could not be put together")]
    Archive(#[from] TreeError),
    /// The writer failed.
    #[error("the archive could not be written")]
    Write(#[source] io::Error),
}

/// Writes an OCI archive and returns the manifest's digest, `sha256:…`, by which the image can be pinned.
///
/// # Errors
/// [`OciError`].
pub fn write(image: &ContainerImage<'_>, writer: impl Write) -> Result<String, OciError> {
    if !is_full_reference(image.reference) {
        return Err(OciError::Reference { reference: image.reference.to_owned() });
    }
    let mut archive = Tree::new();
    let mut layer = Vec::new();
    tar::write(image.root, image.epoch, &mut layer).map_err(OciError::Layer)?;
    let layer = add_blob(&mut archive, LAYER_TYPE, layer)?;
    let config = add_blob(&mut archive, CONFIG_TYPE, json(&config(image, &layer.digest)))?;
    let manifest = Manifest { schema_version: 2, media_type: MANIFEST_TYPE, config, layers: [layer] };
    let manifest = add_blob(&mut archive, MANIFEST_TYPE, json(&manifest))?;
    let digest = manifest.digest.clone();
    let annotations = Annotations { reference: image.reference, containerd: image.reference };
    let manifests = [Entry { descriptor: manifest, platform: platform(image.architecture), annotations }];
    archive.insert_file("/index.json", 0o644, json(&Index { schema_version: 2, media_type: INDEX_TYPE, manifests }))?;
    archive.insert_file("/oci-layout", 0o644, *br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar::write(&archive, image.epoch, writer).map_err(OciError::Write)?;
    Ok(digest)
}

fn add_blob(archive: &mut Tree, media_type: &'static str, bytes: Vec<u8>) -> Result<Descriptor, OciError> {
    let hash = format!("{:x}", Sha256::digest(&bytes));
    let descriptor = Descriptor { media_type, digest: format!("sha256:{hash}"), size: bytes.len() as u64 };
    archive.insert_file(&format!("/blobs/sha256/{hash}"), 0o644, bytes)?;
    Ok(descriptor)
}

fn config<'parts>(image: &'parts ContainerImage<'_>, layer: &'parts str) -> Config<'parts> {
    Config {
        created: image.epoch.to_string(),
        platform: platform(image.architecture),
        config: Execution { user: image.user, environment: image.environment, entrypoint: image.entrypoint, command: image.command },
        // The digest of the layer when unpacked; it is not packed.
        rootfs: RootFs { kind: "layers", diff_ids: [layer] },
    }
}

fn platform(architecture: &str) -> Platform<'_> {
    Platform { architecture, os: "linux", variant: if architecture == "arm64" { "v8" } else { "" } }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structures of strings and numbers are always JSON")
}

/// Whether containerd would take the reference as it is: a registry (with a dot, a port or `localhost`), a path, and a tag or digest.
fn is_full_reference(reference: &str) -> bool {
    let Some((registry, path)) = reference.split_once('/') else { return false };
    let is_registry = registry == "localhost" || registry.contains(['.', ':']);
    let last = path.rsplit('/').next().unwrap_or_default();
    let tagged = last.split_once(['@', ':']).is_some_and(|(name, tag)| !name.is_empty() && !tag.is_empty());
    is_registry && tagged && reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./:@_-".contains(&byte))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: [Descriptor; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'parts> {
    schema_version: u32,
    media_type: &'static str,
    manifests: [Entry<'parts>; 1],
}

#[derive(Serialize)]
struct Entry<'parts> {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Platform<'parts>,
    annotations: Annotations<'parts>,
}

#[derive(Serialize)]
struct Annotations<'parts> {
    #[serde(rename = "org.opencontainers.image.ref.name")]
    reference: &'parts str,
    /// The name containerd gives the image at import; without it only the tag of the other one counts.
    #[serde(rename = "io.containerd.image.name")]
    containerd: &'parts str,
}

#[derive(Serialize)]
struct Platform<'parts> {
    architecture: &'parts str,
    os: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'static str,
}

#[derive(Serialize)]
struct Config<'parts> {
    created: String,
    #[serde(flatten)]
    platform: Platform<'parts>,
    config: Execution<'parts>,
    rootfs: RootFs<'parts>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Execution<'parts> {
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'parts str,
    #[serde(rename = "Env", skip_serializing_if = "<[String]>::is_empty")]
    environment: &'parts [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    entrypoint: &'parts [String],
    #[serde(rename = "Cmd", skip_serializing_if = "<[String]>::is_empty")]
    command: &'parts [String],
}

#[derive(Serialize)]
struct RootFs<'parts> {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: [&'parts str; 1],
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use serde_json::Value;

    use super::*;

    fn build(architecture: &str, reference: &str) -> Result<(String, BTreeMap<String, Vec<u8>>), OciError> {
        let mut root = Tree::new();
        root.insert_file("/pause", 0o755, *b"static binary").unwrap();
        let (entrypoint, environment) = (["/pause".to_owned()], ["PATH=/".to_owned()]);
        let epoch = Epoch::from_seconds(1_763_866_861);
        let image = ContainerImage {
            reference,
            architecture,
            root: &root,
            entrypoint: &entrypoint,
            command: &[],
            environment: &environment,
            user: "65535:65535",
            epoch,
        };
        let mut bytes = Vec::new();
        let digest = write(&image, &mut bytes)?;
        let mut files = BTreeMap::new();
        for entry in ::tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut contents = Vec::new();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            entry.read_to_end(&mut contents).unwrap();
            files.insert(path, contents);
        }
        Ok((digest, files))
    }

    fn parse(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    /// Follows a descriptor and checks its digest and size.
    fn follow<'files>(files: &'files BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'files [u8] {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let blob = &files[&format!("blobs/sha256/{digest}")];
        assert_eq!(format!("{:x}", Sha256::digest(blob)), digest);
        assert_eq!(descriptor["size"], blob.len());
        blob
    }

    #[test]
    fn from_the_index_every_descriptor_leads_to_its_blob() {
        let (digest, files) = build("amd64", "registry.k8s.io/pause:3.10").unwrap();
        assert_eq!(parse(&files["oci-layout"])["imageLayoutVersion"], "1.0.0");
        let index = parse(&files["index.json"]);
        let entry = &index["manifests"][0];
        assert_eq!(entry["digest"], digest.as_str());
        assert_eq!(entry["annotations"]["io.containerd.image.name"], "registry.k8s.io/pause:3.10");
        assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "registry.k8s.io/pause:3.10");
        let manifest = parse(follow(&files, entry));
        let config = parse(follow(&files, &manifest["config"]));
        let layer = follow(&files, &manifest["layers"][0]);
        assert_eq!(manifest["layers"][0]["mediaType"], LAYER_TYPE);
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(config["config"]["Entrypoint"][0], "/pause");
        assert_eq!(config["config"]["Env"][0], "PATH=/");
        assert_eq!(config["config"]["User"], "65535:65535");
        assert_eq!(config["config"].get("Cmd"), None);
        assert_eq!(config["created"], "2025-11-23T03:01:01Z");
        assert_eq!((&config["architecture"], &config["os"]), (&"amd64".into(), &"linux".into()));
        assert!(layer.windows(13).any(|bytes| bytes == b"static binary"));
    }

    #[test]
    fn the_platform_is_the_architecture_asked_for() {
        let (_, files) = build("arm64", "localhost/pause:3").unwrap();
        let platform = &parse(&files["index.json"])["manifests"][0]["platform"];
        assert_eq!(platform, &serde_json::json!({"architecture": "arm64", "os": "linux", "variant": "v8"}));
    }

    #[test]
    fn the_same_image_has_the_same_digest() {
        let digest = || build("amd64", "localhost/a:1").unwrap().0;
        assert_eq!(digest(), digest());
    }

    #[test]
    fn references_containerd_would_complete_are_refused() {
        for reference in ["pause", "pause:3", "library/pause:3", "registry.k8s.io/pause", "registry.k8s.io/:3", "a.b/c:", "a.b/c d:1", ""] {
            assert!(matches!(build("amd64", reference), Err(OciError::Reference { .. })), "{reference:?}");
        }
        for reference in ["localhost:5000/a/b:1", "registry.k8s.io/coredns/coredns:v1.12.0"] {
            assert!(build("amd64", reference).is_ok(), "{reference}");
        }
    }
}
