"""A client of Docstream's REST API: submit a document, follow its job, fetch its result.

What the service promises it makes use of. A request that got no answer, or a 429 or 503, is made again after Retry-After; a submission
goes under one Idempotency-Key, so that sending it again is never a second job; a job is followed through the end of any gateway, with no
event missing and none twice. It is one file and needs nothing but the standard library of Python 3.9 or newer.

    client = docstream.Client("https://docs.example.com", os.environ["DOCSTREAM_API_KEY"])
    job = client.submit("a.pdf", priority="high")
    for event in client.follow(job["job_id"]):
        print(event["status"], event["progress"]["percent"])
    print(client.result(job["job_id"], "markdown").decode())
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import io
import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

ENDED = ("completed", "partial", "failed", "cancelled", "expired")

# How long a connection may say nothing: the service says something every five seconds.
SILENCE = 20


class Error(Exception):
    """An error the service answered with.

    status is HTTP's; code is of the closed table, such as JOB_NOT_FOUND, and empty where it was none of the service's own answers;
    details is what the code says more; request_id is by which the operator finds the request; after is how many seconds to wait before the
    same again can help, None where that was not said.
    """

    def __init__(self, answer):
        self.status = answer.code
        after = answer.headers.get("Retry-After", "")
        self.after = int(after) if after.isdigit() else None
        try:
            said = json.loads(answer.read(1 << 20))
            error = said["error"]
            self.code, self.message, self.details = error["code"], error["message"], error["details"]
            self.request_id = said["request_id"]
        except (ValueError, KeyError, TypeError):  # another's shape, such as a proxy's
            self.code, self.message, self.details, self.request_id = "", http.client.responses.get(self.status, ""), {}, ""
        super().__init__(f"{self.status} {self.code}: {self.message} ({self.request_id})")

    @property
    def passing(self):
        """Whether the same request may be answered otherwise later."""
        return self.status in (429, 502, 503, 504) or self.code == "IDEMPOTENCY_IN_FLIGHT"


class NotReady(Exception):
    """A result of a job that has not ended."""


class BrokenOff(Exception):
    """A result that broke off and could not be gone on with."""


class Forged(Exception):
    """A webhook that was not signed with the secret, or not within five minutes."""


def backoff(n):
    """Seconds to wait after the nth failure where nobody said: from 0.1 up to 10, half of it by chance."""
    most = min(0.1 * 2 ** min(n, 10), 10)
    return most / 2 + random.uniform(0, most / 2)


class Client:
    """Asks one service in the name of one API key. patience is for how many seconds one call is made again at most; a Retry-After that
    ends later is an error at once."""

    def __init__(self, server, key, patience=120):
        self.server, self.key, self.patience = server.rstrip("/"), key, patience

    def _once(self, method, path, query=None, headers=None, body=None, timeout=SILENCE + 60):
        address = self.server + path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
        data = open(body, "rb") if isinstance(body, (str, os.PathLike)) else io.BytesIO(body or b"")
        with data:
            request = urllib.request.Request(address, method=method, headers=headers or {}, data=None if body is None else data)
            request.add_unredirected_header("Authorization", "Bearer " + self.key)  # not for the store a result may lie in
            try:
                return urllib.request.urlopen(request, timeout=timeout)
            except urllib.error.HTTPError as answer:
                with answer:
                    raise Error(answer) from None

    def _do(self, method, path, **request):
        """The answer to a request, made until it is final: below 400, or an error that the same again would get again."""
        began, n = time.monotonic(), 0
        while True:
            try:
                return self._once(method, path, **request)
            except Error as error:
                wait = backoff(n) if error.after is None else error.after
                if not error.passing or time.monotonic() - began + wait > self.patience:
                    raise
            except (OSError, http.client.HTTPException):
                wait = backoff(n)
                if time.monotonic() - began + wait > self.patience:
                    raise
            time.sleep(wait)
            n += 1

    def _ask(self, method, path, **request):
        with self._do(method, path, **request) as answer:
            said = answer.read()
        return json.loads(said) if said else None

    def submit(self, document, filename=None, media_type="application/octet-stream", idempotency_key=None, metadata=None, **options):
        """Hands a document in, a path or bytes, and returns its job as far as the answer knows it: job_id, status and others.

        It is sent again until it is certain that it was accepted, or that it is not. idempotency_key makes it one job however often it is
        submitted and by whichever process; without one a key holds over the attempts of this call. options are those of the API:
        priority, output_formats (parted by commas), ocr, pages, webhook_url, deadline_seconds, cache="false" and so on; metadata
        is a dict of strings.
        """
        if isinstance(document, (str, os.PathLike)):
            size, filename = os.path.getsize(document), filename or os.path.basename(document)
        else:
            size = len(document)
        query = {k: v for k, v in dict(options, filename=filename).items() if v is not None}
        if metadata:
            query["metadata"] = json.dumps(metadata)
        headers = {"Content-Type": media_type, "Content-Length": str(size), "Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._ask("POST", "/api/v1/documents", query=query, headers=headers, body=document)

    def upload(self, document, filename=None, media_type=None, idempotency_key=None, metadata=None, progress=None, **options):
        """Hands a document in as submit does, but sends its bytes straight to the object store: a large one does not pass through a gateway,
        and of what breaks off only that part is sent again. progress is called with the bytes sent so far; a part that is sent again makes
        them fewer. An idempotency_key holds while the requests of the upload do, an hour unless the service says otherwise."""
        if isinstance(document, (str, os.PathLike)):
            filename = filename or os.path.basename(document)
            body = open(document, "rb")
        else:
            body = io.BytesIO(document)
        with body:
            digest, size = hashlib.sha256(), 0
            for block in iter(lambda: body.read(1 << 20), b""):
                digest.update(block)
                size += len(block)
            about = {"size": size, "sha256": digest.hexdigest(), "filename": filename, "media_type": media_type}
            headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
            upload = self._say("/api/v1/uploads", {k: v for k, v in about.items() if v is not None}, headers)
            at, whole = 0, upload.get("put")
            for part in [whole] if whole else upload["parts"]:
                self._store(part, body, at, whole is not None, progress)
                at += part["size"]
        options = {k: str(v) for k, v in options.items() if v is not None}
        if metadata:
            options["metadata"] = json.dumps(metadata)
        return self._say(f"/api/v1/uploads/{_quote(upload['upload_id'])}/complete", options, {})  # one upload is one job: it needs no key

    def _say(self, path, body, headers):
        text = json.dumps(body).encode()
        return self._ask("POST", path, headers=dict(headers, **{"Content-Type": "application/json", "Content-Length": str(len(text))}), body=text)

    def _store(self, part, body, at, once, progress):
        """Sends bytes to the object store until they are there, without the key: it is for the service alone. once: the store takes them a
        single time, so that it refuses what arrived already."""
        headers = {k: v for k, v in part["headers"].items() if k.lower() != "content-length"}
        headers = dict({"Content-Type": "application/octet-stream"}, **headers, **{"Content-Length": str(part["size"])})
        began, n = time.monotonic(), 0
        while True:
            piece = _Piece(body, at, part["size"], progress)
            request = urllib.request.Request(part["url"], method=part["method"], headers=headers, data=piece)
            try:
                with urllib.request.urlopen(request, timeout=SILENCE + 60) as answer:
                    answer.read()
                    return
            except urllib.error.HTTPError as answer:
                with answer:
                    error = Error(answer)
                if once and error.status == 412:
                    return
                if error.status < 500 and error.status != 429:
                    raise error from None
            except (OSError, http.client.HTTPException) as broken:
                error = broken
            wait = backoff(n)
            if time.monotonic() - began + wait > self.patience:
                raise error
            time.sleep(wait)
            n += 1

    def create_batch(self, items, media_type="application/jsonl", idempotency_key=None, **options):
        """Hands up to 10,000 documents in at once and returns their batch: batch_id, status, counts and others.

        items is a path or bytes: a line of JSON for each document, or with application/zip a file for each, or with application/json the
        prefix of a bucket. A list of dicts becomes the lines. options hold for every item that says nothing else. idempotency_key makes it
        one batch however often it is created and by whichever process; without one a key holds over the attempts of this call.
        """
        if isinstance(items, list):
            items = "".join(json.dumps(item) + "\n" for item in items).encode()
        size = os.path.getsize(items) if isinstance(items, (str, os.PathLike)) else len(items)
        headers = {"Content-Type": media_type, "Content-Length": str(size), "Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._ask("POST", "/api/v1/batches", query={k: v for k, v in options.items() if v is not None}, headers=headers, body=items)

    def batch(self, batch_id):
        """A batch."""
        return self._ask("GET", _batch(batch_id))

    def batches(self):
        """The newest batches, newest first."""
        return self._ask("GET", "/api/v1/batches", query={"limit": 100})["batches"]

    def follow_batch(self, batch_id):
        """Yields how the batch stands, and again whenever that is another, until it has ended."""
        wait, said = 0.0, None
        while True:
            time.sleep(wait)
            batch = self.batch(batch_id)
            ended = batch["status"] != "running"
            if batch["percent"] != said or ended:
                yield batch
            if ended:
                return
            wait = 0.5 if batch["percent"] != said else min(wait + 0.5, 10)
            said = batch["percent"]

    def batch_items(self, batch_id, status=None):
        """Yields the items of a batch in their order, as many pages of them as are asked for: custom_id, status, job_id, error."""
        query = {"limit": 100}
        if status:
            query["status"] = status
        while True:
            page = self._ask("GET", _batch(batch_id) + "/items", query=query)
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            query["cursor"] = page["next_cursor"]

    def cancel_batch(self, batch_id):
        """Submits no more items of a batch and cancels those under way. Doing it twice is no error."""
        self._ask("POST", _batch(batch_id) + "/cancel", headers={"Idempotency-Key": str(uuid.uuid4())})

    def job(self, job_id, wait=0):
        """A job. With wait the answer comes when it has ended, or after so many seconds, at most 60."""
        return self._ask("GET", _path(job_id), query={"wait": f"{wait}s"} if wait else None)

    def follow(self, job_id):
        """Yields how the job stands and then each change, until it has ended. Where a connection ends, or says nothing any more, it goes on
        at another, after the last event it had."""
        last, n = None, 0
        while True:
            before, over = last, False
            try:
                for last, event in self._listen(job_id, last):
                    if event is not None:
                        yield event
                        over = over or event["status"] in ENDED
                    elif last is None:
                        over = True
            except (OSError, http.client.HTTPException):
                pass  # the connection ended: come again
            if over:
                return
            n = 0 if last != before else n + 1
            time.sleep(backoff(n))

    def _listen(self, job_id, last):
        """Pairs of a place in the log and an event, or None for a place alone; (None, None) where the job has ended and all was said."""
        headers = {"Accept": "text/event-stream"}
        if last:
            headers["Last-Event-ID"] = last
        with self._do("GET", _path(job_id) + "/events", headers=headers, timeout=SILENCE) as answer:
            if answer.status == 204:
                yield None, None
                return
            place, data = last, ""
            for line in answer:
                name, _, value = line.decode().rstrip("\r\n").partition(":")
                value = value[1:] if value.startswith(" ") else value
                if name == "id":
                    place = value
                elif name == "data":
                    data += value
                elif line.strip() == b"" and place:
                    yield place, json.loads(data) if data else None
                    data = ""

    def wait(self, job_id):
        """The job once it has ended."""
        for _ in self.follow(job_id):
            pass
        return self.job(job_id)

    def jobs(self, **filters):
        """Yields jobs, newest first, as many pages of them as are asked for. filters are the API's: status, media_type, from_, to, and tag,
        a list of name:value."""
        query = dict({k.rstrip("_"): v for k, v in filters.items()}, limit=100)
        while True:
            page = self._ask("GET", "/api/v1/jobs", query=query)
            yield from page["jobs"]
            if not page.get("next_cursor"):
                return
            query["cursor"] = page["next_cursor"]

    def result(self, job_id, format, to=None):
        """A result in a format: markdown, json, html, csv or text. It is returned as bytes, or written to an open binary file. What breaks
        off is gone on with where it broke off."""
        out = to or io.BytesIO()
        got, headers = 0, {"Accept-Encoding": "identity"}
        for _ in range(6):
            with self._do("GET", _path(job_id) + "/result", query={"format": format}, headers=headers) as answer:
                if answer.status == 202:
                    raise NotReady(job_id)
                if got and not (answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {got}-")):
                    raise BrokenOff(job_id)  # it is another one by now
                headers.setdefault("If-Range", answer.headers.get("ETag", ""))  # holds a range only
                whole, came = self._take(answer, out)
                if whole:
                    return None if to else out.getvalue()
                got += came
            if got:
                headers["Range"] = f"bytes={got}-"
        raise BrokenOff(job_id)

    @staticmethod
    def _take(answer, out):
        """Copies an answer and says whether it came whole, and how much came."""
        length, came = answer.headers.get("Content-Length"), 0
        while True:
            try:
                block = answer.read(1 << 16)
            except (OSError, http.client.HTTPException):
                return False, came
            if not block:
                return length is None or came == int(length), came
            out.write(block)
            came += len(block)

    def cancel(self, job_id):
        """Stops a job."""
        self._ask("POST", _path(job_id) + "/cancel")

    def retry(self, job_id):
        """Runs a job again that failed, expired, was cancelled or lacks pages, with the same options."""
        self._ask("POST", _path(job_id) + "/retry", headers={"Idempotency-Key": str(uuid.uuid4())})

    def delete(self, job_id):
        """Removes source and results of a job now. Doing it twice is no error."""
        self._ask("DELETE", _path(job_id))


class _Piece:
    """A stretch of an open file, and word of how far it was read."""

    def __init__(self, body, at, size, progress):
        self.body, self.at, self.end, self.progress = body, at, at + size, progress

    def read(self, n=-1):
        left = self.end - self.at
        self.body.seek(self.at)
        block = self.body.read(left if n is None or n < 0 else min(n, left))
        self.at += len(block)
        if block and self.progress:
            self.progress(self.at)
        return block


def _quote(text):
    return urllib.parse.quote(text, safe="")


def _path(job_id):
    return "/api/v1/jobs/" + _quote(job_id)


def _batch(batch_id):
    return "/api/v1/batches/" + _quote(batch_id)


def verify(secret, headers, body, now=None):
    """Holds a webhook to a secret (whsec_…): the endpoint's own, or, where a submission named the address, the tenant's. body is the bytes
    that came. Raises Forged. A message may come more than once: its webhook-id is then the same."""
    got = {name.lower(): value for name, value in headers.items()}
    try:
        raw = base64.b64decode(secret[len("whsec_"):] if secret.startswith("whsec_") else secret, validate=True)
    except binascii.Error:
        raise ValueError("the secret is not one of webhooks") from None
    try:
        if abs((time.time() if now is None else now) - int(got["webhook-timestamp"])) > 300:
            raise Forged("it was signed at another time")
        signed = f'{got["webhook-id"]}.{got["webhook-timestamp"]}.'.encode() + body
        signatures = got["webhook-signature"].split()
    except (KeyError, ValueError):
        raise Forged("a header is missing") from None
    want = "v1," + base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    if not any(hmac.compare_digest(one.encode(), want.encode()) for one in signatures):  # one for each secret, while they rotate
        raise Forged("no signature is of this secret")
