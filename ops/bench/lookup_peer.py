"""What most would write first: jobs in Redis, served by FastAPI. `docstream bench gateway` holds the gateway's look-ups against it.

It does what the gateway does for the look-up of a job that has ended: finds the key, compares a keyed hash of its secret, and returns the job
of that key's tenant as JSON. It runs as its users run it: uvicorn on uvloop and httptools, Redis' client on hiredis. It is started with Redis'
port, its own port, a file that says what to serve, and how many processes serve it."""

import hashlib
import hmac
import json
import os
import sys

import redis.asyncio as redis
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

REDIS = int(os.environ.get("PEER_REDIS", "6379"))
SECRET = os.environ.get("PEER_SECRET", "").encode()

app = FastAPI()
store = redis.Redis(host="127.0.0.1", port=REDIS)


def fingerprint(secret):
    return hmac.new(SECRET, secret.encode(), hashlib.sha256).hexdigest()


@app.get("/api/v1/jobs/{job_id}")
async def job(job_id: str, request: Request):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or token.count("_") < 2:
        raise HTTPException(401)
    _, key_id, secret = token.split("_", 2)
    key = await store.hgetall(f"key:{key_id}")
    if not key or not hmac.compare_digest(key[b"hash"].decode(), fingerprint(secret)):
        raise HTTPException(401)
    body = await store.get(f"job:{key[b'tenant'].decode()}:{job_id}")
    if body is None:
        raise HTTPException(404)
    return Response(body, media_type="application/json")


def main():
    _, redis_port, port, path, workers = sys.argv
    with open(path) as f:
        given = json.load(f)
    os.environ["PEER_REDIS"], os.environ["PEER_SECRET"] = redis_port, given["house"]
    global SECRET
    SECRET = given["house"].encode()
    import redis as blocking

    r = blocking.Redis(host="127.0.0.1", port=int(redis_port))
    _, key_id, secret = given["token"].split("_", 2)
    r.hset(f"key:{key_id}", mapping={"hash": fingerprint(secret), "tenant": given["tenant"]})
    r.set(f"job:{given['tenant']}:{given['job']}", given["body"])
    uvicorn.run(
        "lookup_peer:app",
        host="127.0.0.1",
        port=int(port),
        workers=int(workers),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        app_dir=os.path.dirname(__file__),
    )


if __name__ == "__main__":
    main()
