//! Just enough of an S3 server for one bucket, in memory, on a port of loopback that the kernel chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the bucket holds and how the server behaves.
#[derive(Default)]
pub struct Bucket {
    /// Bytes by key.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// As `LastModified`; empty for a time to come.
    pub modified: String,
    /// Writes find no room.
    pub full: bool,
    /// Nobody may do anything.
    pub forbidden: bool,
}

/// The server; it serves until the process ends.
pub struct Server {
    pub url: String,
    pub bucket: Arc<Mutex<Bucket>>,
}

struct Request {
    method: String,
    /// Without the bucket.
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    /// Serves the bucket `bucket`.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bucket = Arc::<Mutex<Bucket>>::default();
        let shared = Arc::clone(&bucket);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                // A client that goes away in the middle ends its connection, not the test.
                thread::spawn(move || serve(stream.ok()?, &shared));
            }
        });
        Self { url, bucket }
    }

    /// What the environment of a process that uses it has.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "anywhere"),
        ];
        variables.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }
}

fn serve(stream: TcpStream, bucket: &Mutex<Bucket>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let request = read(&mut reader)?;
        let (status, body) = answer(&request, &mut bucket.lock().unwrap());
        let time = "Last-Modified: Tue, 01 Jan 2030 00:00:00 GMT\r\nETag: \"e\"";
        let mut bytes = format!("HTTP/1.1 {status}\r\n{time}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        if request.method != "HEAD" {
            bytes.extend(body);
        }
        // In one write: a second one would wait for the first's acknowledgement.
        stream.write_all(&bytes).ok()?;
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((key, value)) = line.trim().split_once(':') else { break };
        headers.insert(key.to_ascii_lowercase(), value.trim().to_owned());
    }
    let bytes = headers.get("content-length").map_or(0, |bytes| bytes.parse().unwrap());
    let mut body = vec![0; bytes];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), decoded(v))).collect();
    let key = decoded(path.strip_prefix("/bucket").unwrap()).trim_start_matches('/').to_owned();
    Some(Request { method, key, query, headers, body })
}

/// The only escaped letter in our keys and queries.
fn decoded(text: &str) -> String {
    text.replace("%2F", "/")
}

fn answer(request: &Request, bucket: &mut Bucket) -> (&'static str, Vec<u8>) {
    let signed = request.headers.get("authorization").is_some_and(|words| words.starts_with("AWS4-HMAC-SHA256 "));
    if bucket.forbidden || !signed {
        return ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>".to_vec());
    }
    let missing = || ("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>".to_vec());
    match request.method.as_str() {
        "PUT" if bucket.full => ("507 Insufficient Storage", b"<Error><Code>StorageFull</Code></Error>".to_vec()),
        "PUT" => match request.headers.get("x-amz-copy-source") {
            None => {
                bucket.objects.insert(request.key.clone(), request.body.clone());
                ("200 OK", Vec::new())
            }
            Some(source) => {
                let source = decoded(source).trim_start_matches('/').strip_prefix("bucket/").unwrap().to_owned();
                let Some(bytes) = bucket.objects.get(&source).cloned() else { return missing() };
                bucket.objects.insert(request.key.clone(), bytes);
                ("200 OK", b"<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>".to_vec())
            }
        },
        "GET" if request.key.is_empty() => ("200 OK", list(request, bucket)),
        "GET" | "HEAD" => bucket.objects.get(&request.key).map_or_else(missing, |bytes| ("200 OK", bytes.clone())),
        "DELETE" => {
            bucket.objects.remove(&request.key);
            ("204 No Content", Vec::new())
        }
        _ => ("501 Not Implemented", Vec::new()),
    }
}

fn list(request: &Request, bucket: &Bucket) -> Vec<u8> {
    let prefix = &request.query["prefix"];
    assert_eq!(request.query["list-type"], "2");
    let modified = if bucket.modified.is_empty() { "2099-01-01T00:00:00.000Z" } else { &bucket.modified };
    let mut folders = BTreeSet::new();
    let mut found = String::new();
    for (key, bytes) in &bucket.objects {
        match key.strip_prefix(prefix).map(|rest| rest.split_once('/')) {
            None => {}
            Some(Some((folder, _))) => drop(folders.insert(folder)),
            Some(None) => {
                found += &format!(
                    "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>e</ETag><Size>{}</Size></Contents>",
                    bytes.len()
                );
            }
        }
    }
    for folder in folders {
        found += &format!("<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>");
    }
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>").into_bytes()
}
