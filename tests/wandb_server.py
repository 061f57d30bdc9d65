"""A stand-in for the W&B server on loopback: what `wandb` asks of it in our tests, no more."""

import contextlib
import gzip
import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

OWNER = {"id": "e", "name": "me"}
PROJECT = {"id": "P1", "name": "metajax", "entity": OWNER}
KEY = "deadbeef" * 5


def grid(parameters):
    """All combinations of a sweep file's values."""
    names = list(parameters)
    values = [p["values"] if "values" in p else [p["value"]] for p in parameters.values()]
    return [dict(zip(names, one, strict=True)) for one in itertools.product(*values)]


class Server:
    """What arrived, by run id: `runs` (UpsertBucket's variables), `history`, `summary`, `files`;
    `artifacts` (CreateArtifact's variables), `blobs` (uploaded bytes), `calls` (all operations)."""

    def __init__(self):
        self.runs, self.history, self.summary = {}, {}, {}
        self.artifacts, self.blobs, self.calls = {}, {}, []
        self.committed = set()  # ids of whole artifacts
        self.sweep, self.queue = {}, []
        self.refuse = set()  # operations answered by an error
        self.awake = threading.Event()  # cleared: curves and summaries get no answer
        self.awake.set()
        self.url = ""
        self._ids = (f"agent{i}" for i in itertools.count())

    def config(self, run):
        """A run's configuration as the server got it."""
        given = json.loads(self.runs[run]["config"])
        return {k: v["value"] for k, v in given.items() if k != "_wandb"}

    def answer(self, op, v):
        """The `data` of a GraphQL answer."""
        if op == "Viewer":
            me = {"id": "v", "entity": "me", "username": "me", "email": "a@b", "admin": False}
            return {"viewer": {**me, "flags": "{}", "teams": {"edges": []}}}
        if op == "UpsertBucket":
            name = v["name"]
            told = {k: x for k, x in v.items() if x is not None}
            self.runs[name] = self.runs.get(name, {}) | told
            bucket = {
                "id": f"B{name}", "name": name, "displayName": v.get("displayName") or name,
                "description": None, "config": None, "sweepName": v.get("sweep"),
                "project": PROJECT, "historyLineCount": 0,
            }  # fmt: skip
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if op == "CreateRunFiles":
            files = [{"name": f, "uploadUrl": f"{self.url}/up/{v['run']}/{f}"} for f in v["files"]]
            return {"createRunFiles": {"runID": "B1", "uploadHeaders": [], "files": files}}
        if op == "OrganizationCoreWeaveOrganizationID":
            return {"entity": {"organization": {"coreWeaveOrganizationId": ""}}}
        if op == "ArtifactType":
            return {"project": {"artifact": None}}
        if op == "CreateArtifact":
            name = v["input"]["artifactCollectionName"]
            self.artifacts[name] = v["input"]
            made = {"id": name, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
            return {"createArtifact": {"artifact": made}}
        if op in ("CreateArtifactManifest", "UpdateArtifactManifest"):
            place = f"{self.url}/manifest/{v.get('artifactID') or v.get('artifactManifestID')}"
            file = {"id": "F1", "uploadUrl": place, "uploadHeaders": []}
            kept = {"id": v.get("artifactID") or v.get("artifactManifestID"), "file": file}
            return {op[0].lower() + op[1:]: {"artifactManifest": kept}}
        if op == "CreateArtifactFiles":
            nodes = [
                {
                    "storagePath": file["name"], "uploadHeaders": [], "uploadMultipartUrls": None,
                    "uploadUrl": f"{self.url}/artifact/{file['artifactID']}/{file['name']}",
                    "artifact": {"id": file["artifactID"]},
                }
                for file in v["input"]["artifactFiles"]
            ]  # fmt: skip
            return {"createArtifactFiles": {"files": {"edges": [{"node": n} for n in nodes]}}}
        if op == "CommitArtifact":
            self.committed.add(v["artifactID"])
            return {"commitArtifact": {"artifact": {"id": v["artifactID"], "digest": "d"}}}
        if op == "UpsertSweep":
            self.sweep = yaml.safe_load(v["config"])
            self.queue = grid(self.sweep["parameters"])
            made = {"name": "SW1", "project": PROJECT}
            return {"upsertSweep": {"sweep": made, "configValidationWarnings": []}}
        if op == "SweepWithRuns":
            told = {"id": "S1", "name": "SW1", "method": "grid", "state": "RUNNING"}
            told |= {"config": yaml.safe_dump(self.sweep), "runs": {"edges": []}}
            return {"project": {"sweep": told}}
        if op == "CreateAgent":
            return {"createAgent": {"agent": {"id": "A1"}}}
        if op == "Heartbeat":  # one run at a time, then the end
            told = []
            if not any(json.loads(v.get("runState") or "{}").values()):
                told = [self._next() if self.queue else {"type": "exit"}]
            return {"agentHeartbeat": {"agent": {"id": "A1"}, "commands": json.dumps(told)}}
        return {}

    def _next(self):
        values = {name: {"value": value} for name, value in self.queue.pop(0).items()}
        run = {"type": "run", "run_id": next(self._ids), "program": self.sweep["program"]}
        return {**run, "args": values}

    def graphql(self, body):
        query = body.get("query", "")
        op = body.get("operationName") or re.search(r"(?:query|mutation)\s+(\w+)", query)[1]
        self.calls.append(op)
        if op in self.refuse:
            return {"errors": [{"message": f"{op} is refused"}]}
        return {"data": self.answer(op, body.get("variables") or {})}


@contextlib.contextmanager
def serve():
    """A running `Server`."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def reply(self, content):
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def body(self):
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data

        def do_GET(self):
            self.reply({})

        def do_PUT(self):
            server.blobs[self.path] = self.body()
            self.reply({})

        def do_POST(self):
            body = json.loads(self.body() or b"{}")
            if self.path == "/graphql":
                return self.reply(server.graphql(body))
            server.awake.wait()
            run = self.path.split("/")[-2]
            for name, content in (body.get("files") or {}).items():
                rows = [json.loads(line) for line in content["content"]]
                if name == "wandb-history.jsonl":
                    server.history.setdefault(run, []).extend(rows)
                elif name == "wandb-summary.json":
                    server.summary[run] = rows[-1]
            self.reply({"exitcode": None, "limits": {}})

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.handle_error = lambda *_: None  # clients hang up as they like
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.awake.set()
        http.shutdown()
        http.server_close()
        thread.join()
