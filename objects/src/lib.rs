//! Places in object stores by their text: `s3://bucket/prefix`, and `http://host/folder` to read from.
//!
//! A thin layer over `object_store`: it says which texts are places, with which TLS and how patiently they are asked, and
//! puts errors into one line.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};

/// A server that does not answer at all.
const CONNECT: Duration = Duration::from_secs(10);
/// Characters of an error that are told; servers send whole pages.
const MOST_WORDS: usize = 500;

/// How long to wait, and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one request, with all that it brings.
    pub request: Duration,
    /// Failed requests are tried so often again, within `all`.
    pub retries: usize,
    /// For a request and all its retries.
    pub all: Duration,
}

/// A folder in an object store.
#[derive(Clone)]
pub struct Objects {
    /// The store; for a web server it is asked relative to its root.
    pub store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What goes before a path in the store: `s3://bucket`.
    root: String,
}

impl Objects {
    /// Whether a text looks like a place in an object store: it has a scheme.
    pub fn is_place(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| matches!(scheme, "s3" | "http" | "https"))
    }

    /// A place by its text. Nothing is connected yet. `variables` are like those of the environment; `AWS_…` are used for
    /// buckets: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` and so on.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn open(
        text: &str,
        variables: impl Iterator<Item = (String, String)>,
        patience: Patience,
    ) -> Result<Self, String> {
        // There is none unless the program has chosen one; then it stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        match text.split_once("://") {
            Some(("s3", rest)) => Self::bucket(rest, variables, patience),
            Some((scheme @ ("http" | "https"), rest)) => Self::web(scheme, rest, patience),
            _ => Err("give s3://bucket/prefix or http://host/folder".to_owned()),
        }
    }

    fn bucket(
        rest: &str,
        variables: impl Iterator<Item = (String, String)>,
        patience: Patience,
    ) -> Result<Self, String> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(good) {
            return Err(format!("{bucket:?} is no name of a bucket; give s3://bucket/prefix"));
        }
        let mut builder = AmazonS3Builder::new().with_client_options(patience.options()).with_retry(patience.retry());
        for (key, value) in variables.filter(|(key, _)| key.starts_with("AWS_")) {
            if let Ok(key) = key.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        // Not all servers know how to delete several objects at once.
        let s3 = builder.with_bucket_name(bucket).with_disable_bulk_delete(true).build();
        let store = Arc::new(s3.map_err(|error| error.to_string())?);
        Ok(Self { store, prefix: parsed(prefix)?, root: format!("s3://{bucket}") })
    }

    fn web(scheme: &str, rest: &str, patience: Patience) -> Result<Self, String> {
        let (host, folder) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || host.contains('@') || rest.contains(['?', '#']) {
            return Err(format!("{scheme}://{rest} is no folder of a web server; give {scheme}://host/folder"));
        }
        let root = format!("{scheme}://{host}");
        let options = patience.options().with_config(ClientConfigKey::AllowHttp, "true");
        let store =
            HttpBuilder::new().with_url(&root).with_client_options(options).with_retry(patience.retry()).build();
        let store = Arc::new(store.map_err(|error| error.to_string())?);
        Ok(Self { store, prefix: parsed(folder)?, root })
    }

    /// The place itself, as a path in the store.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// A path in the store, for people.
    pub fn named(&self, path: &Path) -> String {
        format!("{}/{path}", self.root)
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named(&self.prefix))
    }
}

impl fmt::Debug for Objects {
    /// The client would show its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Patience {
    fn options(self) -> ClientOptions {
        ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(self.request)
    }

    fn retry(self) -> RetryConfig {
        let backoff = object_store::BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        };
        RetryConfig { backoff, max_retries: self.retries, retry_timeout: self.all }
    }
}

/// The environment's variables, but for those that are no text.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

/// An error in one line of bounded length.
pub fn words(error: &object_store::Error) -> String {
    let words: String = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(MOST_WORDS).collect()
}

fn parsed(path: &str) -> Result<Path, String> {
    Path::parse(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { request: CONNECT, retries: 0, all: CONNECT };

    fn open(text: &str) -> Result<String, String> {
        Objects::open(text, std::iter::empty(), PATIENCE)
            .map(|objects| objects.named(&objects.prefix.clone().join("x")))
    }

    #[test]
    fn places_have_texts() {
        assert_eq!(open("s3://bucket/some/prefix").as_deref(), Ok("s3://bucket/some/prefix/x"));
        assert_eq!(open("s3://bucket").as_deref(), Ok("s3://bucket/x"));
        assert_eq!(open("http://host:80/a/b/").as_deref(), Ok("http://host:80/a/b/x"));
        for wrong in
            ["", "folder", "ftp://host/x", "s3://b/x", "s3://BUCKET", "http://", "http://me:word@host/", "http://h/x?y"]
        {
            assert!(open(wrong).is_err(), "{wrong}");
        }
        assert!(Objects::is_place("https://host") && !Objects::is_place("/folder") && !Objects::is_place("file://x"));
    }
}
