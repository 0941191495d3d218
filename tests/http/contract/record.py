"""Records what RabbitMQ answers: python3 record.py http://127.0.0.1:15682 > contract.json"""
import base64, json, sys, urllib.request
BASE = sys.argv[1]
R = []
def add(method, path, body=None): R.append((method, path, body))
V = "contract%2Fv"
add("PUT", f"vhosts/{V}", {"description": "d", "tags": "a,b"})
add("PUT", f"vhosts/{V}", {})
add("GET", f"vhosts/{V}")
add("GET", "vhosts/none")
add("PUT", "users/contract", {"password": "x", "tags": "management"})
add("PUT", "users/contract", {"password": "x", "tags": "management"})
add("PUT", "users/contract", {"password": "x"})
add("PUT", "users/contract", {"password": "x", "password_hash": "x", "tags": ""})
add("GET", "users/contract"); add("GET", "users/none"); add("GET", "users"); add("GET", "users/without-permissions")
add("PUT", f"permissions/{V}/contract", {"configure": ".*", "write": ".*", "read": ".*"})
add("PUT", f"permissions/{V}/contract", {"configure": ".*", "write": ".*"})
add("PUT", f"permissions/{V}/none", {"configure": ".*", "write": ".*", "read": ".*"})
add("GET", f"permissions/{V}/contract"); add("GET", "permissions"); add("GET", f"vhosts/{V}/permissions"); add("GET", "users/contract/permissions")
add("PUT", f"topic-permissions/{V}/contract", {"exchange": "amq.topic", "write": "a", "read": "b"})
add("GET", f"topic-permissions/{V}/contract"); add("GET", "topic-permissions")
add("DELETE", f"topic-permissions/{V}/contract")
add("GET", "whoami")
add("PUT", f"exchanges/{V}/x", {"type": "topic", "durable": "true"})
add("PUT", f"exchanges/{V}/x", {"type": "topic", "durable": True})
add("PUT", f"exchanges/{V}/x", {"type": "direct", "durable": True})
add("PUT", f"exchanges/{V}/y", {"type": "zz"})
add("PUT", f"exchanges/{V}/amq.y", {"type": "direct"})
add("GET", f"exchanges/{V}/x"); add("GET", f"exchanges/{V}/amq.default"); add("GET", f"exchanges/{V}"); add("GET", f"exchanges/{V}/none")
add("PUT", f"queues/{V}/q", {"durable": True, "arguments": {"x-max-length": 10}})
add("PUT", f"queues/{V}/q", {"durable": True, "arguments": {"x-max-length": 10}})
add("PUT", f"queues/{V}/q", {"durable": False})
add("PUT", f"queues/{V}/q", {"durable": "yes"})
add("PUT", f"queues/{V}/r", {"arguments": {"x-max-length": "a"}})
add("PUT", f"queues/{V}/r", {"arguments": {"x": None}})
add("PUT", f"queues/{V}/amq.r", {})
add("PUT", "queues/none/r", {})
add("GET", f"queues/{V}/q"); add("GET", f"queues/{V}"); add("GET", "queues/none"); add("GET", f"queues/{V}/none")
add("GET", f"queues/{V}?page=1"); add("GET", f"queues/{V}?page=1&page_size=1&name=q"); add("GET", f"queues/{V}?page=1&name=zz")
add("GET", f"queues/{V}?page=0"); add("GET", f"queues/{V}?page=7"); add("GET", f"queues/{V}?page=x"); add("GET", f"queues/{V}?page=1&page_size=501")
add("GET", f"queues/{V}?page=1&name=(&use_regex=true"); add("GET", f"queues/{V}?columns=name,messages&sort=name&sort_reverse=true")
add("GET", f"queues/{V}?disable_stats=true"); add("GET", f"queues/{V}?disable_stats=true&enable_queue_totals=true")
add("POST", f"bindings/{V}/e/x/q/q", {"routing_key": "a.#", "arguments": {}})
add("POST", f"bindings/{V}/e/x/q/q", {"routing_key": "k", "arguments": {"a": 1}})
add("POST", f"bindings/{V}/e/x/e/amq.fanout", {})
add("POST", f"bindings/{V}/e/x/q/none", {}); add("POST", f"bindings/{V}/e/none/q/q", {}); add("POST", f"bindings/{V}/e/amq.default/q/q", {})
add("GET", f"bindings/{V}"); add("GET", f"bindings/{V}/e/x/q/q"); add("GET", f"bindings/{V}/e/x/q/q/a.%2523"); add("GET", f"bindings/{V}/e/x/q/q/none")
add("GET", f"queues/{V}/q/bindings"); add("GET", f"exchanges/{V}/x/bindings/source"); add("GET", f"exchanges/{V}/amq.fanout/bindings/destination")
P = {"routing_key": "a.b", "properties": {"delivery_mode": 2, "headers": {"n": 1}}, "payload": "hi", "payload_encoding": "string"}
add("POST", f"exchanges/{V}/x/publish", P); add("POST", f"exchanges/{V}/x/publish", {**P, "routing_key": "none"})
add("POST", f"exchanges/{V}/x/publish", {**P, "payload_encoding": "zz"}); add("POST", f"exchanges/{V}/x/publish", {})
add("POST", f"exchanges/{V}/x/publish", {**P, "payload": 7}); add("POST", f"exchanges/{V}/x/publish", {**P, "properties": {"delivery_mode": "2"}})
add("POST", f"exchanges/{V}/none/publish", P)
G = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}
add("POST", f"queues/{V}/q/get", G); add("POST", f"queues/{V}/q/get", {**G, "count": "5", "encoding": "base64", "truncate": 1})
add("POST", f"queues/{V}/q/get", {**G, "encoding": "zz"}); add("POST", f"queues/{V}/q/get", {}); add("POST", f"queues/{V}/none/get", G)
add("DELETE", f"queues/{V}/q?if-empty=true"); add("DELETE", f"queues/{V}/q/contents"); add("POST", f"queues/{V}/q/get", G)
add("POST", f"queues/{V}/q/actions", {"action": "sync"}); add("POST", f"queues/{V}/q/actions", {"action": "zz"})
add("PUT", f"policies/{V}/p", {"pattern": "^q", "definition": {"max-length": 5}}); add("GET", f"policies/{V}/p"); add("GET", f"policies/{V}")
add("PUT", f"policies/{V}/p", {"pattern": "^q", "definition": {"bogus": 5}}); add("PUT", f"policies/{V}/p", {"pattern": "^q"})
add("PUT", f"operator-policies/{V}/o", {"pattern": "^q", "definition": {"max-length": 5}}); add("GET", "operator-policies")
add("DELETE", f"policies/{V}/p"); add("DELETE", f"policies/{V}/p")
add("PUT", f"vhost-limits/{V}/max-queues", {"value": 9}); add("GET", f"vhost-limits/{V}"); add("PUT", f"vhost-limits/{V}/bogus", {"value": 9})
add("GET", f"parameters/vhost-limits/{V}"); add("PUT", f"parameters/bogus/{V}/x", {"value": 1}); add("DELETE", f"vhost-limits/{V}/max-queues")
add("PUT", "user-limits/contract/max-connections", {"value": 9}); add("GET", "user-limits/contract")
add("PUT", "global-parameters/contract", {"value": [1]}); add("GET", "global-parameters/contract"); add("GET", "global-parameters"); add("PUT", "global-parameters/contract", {}); add("DELETE", "global-parameters/contract"); add("DELETE", "global-parameters/contract")
add("GET", "definitions"); add("GET", f"definitions/{V}"); add("GET", "definitions/none"); add("POST", "definitions", {"queues": [{"name": "q", "vhost": "none"}]}); add("POST", "definitions", {"bogus": 1})
add("GET", "cluster-name"); add("GET", "feature-flags"); add("GET", "extensions"); add("GET", "healthchecks/node"); add("GET", "health/checks/alarms")
add("GET", "connections"); add("GET", "channels"); add("GET", "consumers"); add("GET", f"vhosts/{V}/connections"); add("GET", "connections/none"); add("DELETE", "connections/none"); add("GET", "channels/none")
add("GET", "nothing"); add("POST", "whoami", {}); add("PUT", f"queues/{V}/q", "text")
add("DELETE", f"exchanges/{V}/x?if-unused=true"); add("DELETE", f"bindings/{V}/e/x/q/q/a.%2523"); add("DELETE", f"bindings/{V}/e/x/q/q/none"); add("DELETE", f"exchanges/{V}/x"); add("DELETE", f"exchanges/{V}/x"); add("DELETE", f"exchanges/{V}/amq.direct")
add("DELETE", f"queues/{V}/q"); add("DELETE", f"queues/{V}/q"); add("DELETE", f"permissions/{V}/contract"); add("DELETE", "users/contract"); add("DELETE", "users/contract"); add("POST", "users/bulk-delete", {"users": ["none"]}); add("POST", "rebalance/queues", {}); add("DELETE", f"vhosts/{V}"); add("DELETE", f"vhosts/{V}")

def shape(v):
    if isinstance(v, bool): return "boolean"
    if v is None: return "null"
    if isinstance(v, (int, float)): return "number"
    if isinstance(v, str): return "string"
    if isinstance(v, list): return [shape(v[0])] if v else []
    return {k: shape(x) for k, x in sorted(v.items())}
AUTH = "Basic " + base64.b64encode(b"guest:guest").decode()
out = []
for method, path, body in R:
    data = None if body is None else json.dumps(body).encode()
    req = urllib.request.Request(f"{BASE}/api/{path}", data=data, method=method, headers={"Authorization": AUTH, "Content-Type": "application/json"})
    try: res = urllib.request.urlopen(req)
    except urllib.error.HTTPError as e: res = e
    text = res.read().decode()
    entry = {"method": method, "path": path, "status": res.status if hasattr(res, "status") else res.code}
    if body is not None: entry["body"] = body
    if text: entry["answer"] = shape(json.loads(text))
    out.append(entry)
print("[\n" + ",\n".join(json.dumps(e, sort_keys=True) for e in out) + "\n]")
