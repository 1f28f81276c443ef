"""Verifies a webhook from standard input with the standard-webhooks library: {"secret", "headers", "body"}."""
import json
import sys

from standardwebhooks import Webhook

given = json.load(sys.stdin)
print(json.dumps(Webhook(given["secret"]).verify(given["body"], given["headers"])))
