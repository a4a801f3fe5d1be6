//! A web server of one folder, on a port of loopback that the kernel chooses, which can be as bad as servers are.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is wrong with the server, and what was asked of it.
#[derive(Default)]
pub struct Weather {
    /// One answer in so many is an error that passes; 0 for none.
    pub fails: AtomicU32,
    /// One answer in so many is cut off in the middle; 0 for none.
    pub cuts: AtomicU32,
    /// Ranges are not known: whole files come instead.
    pub knows_no_ranges: AtomicBool,
    /// Nobody may have anything.
    pub is_forbidden: AtomicBool,
    /// Paths that were asked for, one a request.
    pub asked: Mutex<Vec<String>>,
}

/// The server; it serves until the process ends.
pub struct Web {
    /// Of the folder: `http://127.0.0.1:port/data`.
    pub url: String,
    weather: Arc<Weather>,
}

impl Deref for Web {
    type Target = Weather;

    fn deref(&self) -> &Weather {
        &self.weather
    }
}

impl Web {
    /// Serves a folder.
    pub fn serve(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/data", listener.local_addr().unwrap());
        let weather = Arc::<Weather>::default();
        let shared = Arc::clone(&weather);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, folder) = (Arc::clone(&shared), folder.clone());
                // A client that goes away in the middle ends its connection, not the test.
                thread::spawn(move || converse(&stream.ok()?, &folder, &shared));
            }
        });
        Self { url, weather }
    }
}

struct Request {
    method: String,
    path: String,
    range: Option<Range<usize>>,
}

fn converse(mut stream: &TcpStream, folder: &Path, weather: &Weather) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        let number = {
            let mut asked = weather.asked.lock().unwrap();
            asked.push(request.path.clone());
            asked.len() as u32
        };
        let due =
            |every: &AtomicU32| matches!(every.load(Ordering::Relaxed), every if every > 0 && number % every == 0);
        let mut answer = if due(&weather.fails) {
            whole("503 Service Unavailable", "", b"later", &request)
        } else if weather.is_forbidden.load(Ordering::Relaxed) {
            whole("403 Forbidden", "", b"<Error><Code>InvalidAccessKeyId</Code></Error>", &request)
        } else {
            answer(&request, folder, weather)
        };
        let is_cut = due(&weather.cuts);
        answer.truncate(if is_cut { answer.len() * 2 / 3 } else { answer.len() });
        stream.write_all(&answer).ok()?;
        if is_cut {
            return stream.shutdown(std::net::Shutdown::Both).ok();
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next()?;
    let range = lines.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let (start, end) = value.strip_prefix("bytes=")?.split_once('-')?;
        name.eq_ignore_ascii_case("range").then_some(start.parse().ok()?..end.parse::<usize>().ok()? + 1)
    });
    let range = range.last();
    let mut words = first.split(' ').map(str::to_owned);
    Some(Request { method: words.next()?, path: words.next()?, range })
}

fn answer(request: &Request, folder: &Path, weather: &Weather) -> Vec<u8> {
    let name = request.path.strip_prefix("/data/").unwrap_or("");
    let Ok(bytes) = fs::read(folder.join(name)) else { return whole("404 Not Found", "", b"", request) };
    match &request.range {
        Some(range) if !weather.knows_no_ranges.load(Ordering::Relaxed) => {
            let Some(part) = bytes.get(range.start..range.end.min(bytes.len())) else {
                return whole("416 Range Not Satisfiable", "", b"", request);
            };
            let range =
                format!("Content-Range: bytes {}-{}/{}\r\n", range.start, range.start + part.len() - 1, bytes.len());
            whole("206 Partial Content", &range, part, request)
        }
        _ => whole("200 OK", "", &bytes, request),
    }
}

fn whole(status: &str, header: &str, body: &[u8], request: &Request) -> Vec<u8> {
    let about = "Last-Modified: Tue, 01 Jan 2030 00:00:00 GMT\r\nETag: \"e\"";
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{about}\r\n{header}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    if request.method != "HEAD" {
        bytes.extend(body);
    }
    bytes
}
