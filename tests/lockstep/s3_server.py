"""A real S3 server (moto) on loopback that holds one bucket, `data`, with the files of a folder.

Usage: s3_server.py FOLDER. Prints its port; serves until its standard input ends.
"""

import os
import sys
import threading

# From the next request on, only who has keys that this server made may ask.
os.environ.setdefault("INITIAL_NO_AUTH_ACTION_COUNT", "inf")

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server.server_port}", **keys)
s3.create_bucket(Bucket="data")
folder = sys.argv[1]
for root, _, files in os.walk(folder):
    for name in files:
        path = os.path.join(root, name)
        s3.upload_file(path, "data", "set/" + os.path.relpath(path, folder))
print(server.server_port, flush=True)
sys.stdin.read()
