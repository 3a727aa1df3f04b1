"""Queries of all kinds, as a live stream takes them."""

AGGREGATES = [
    *("count(*)", "sum(latency_ms)", "min(mixed)", "max(path)", "average(latency_ms)"),
    *("stddev(latency_ms)", "first(path)", "last(mixed)", "list(status)", "p50(latency_ms)"),
    *("p99(status)", "count(distinct path)", "list(distinct mixed)", "sum(distinct status)"),
    *("count(path) filter (where status >= 500)", "min(at)", "max(flag)", "first(mixed)"),
]

RANDOM = "{'strategy': 'RANDOM', 'threshold': 2, 'factor': 10, 'extrapolate': true}"
STICKY = "{'strategy': 'STICKY', 'keys': ['path', 'mixed'], 'salt': 1, 'threshold': 5000}"
MEAN = "average(latency_ms) as mean"

QUERIES = [
    "select * from requests",
    "select * from requests where status >= 500",
    "select path, latency_ms, mixed, when, price, trace from requests",
    "select e['user']['id'], e['spans'][0]['ms'], e[^'st'] from requests where flag",
    "select * from requests where path ==~ /.*items.[1-3]/ and mixed ==+ 'text'",
    "select path from requests where e['spans'][*]['ms'] > 5",
    "select path from requests where e['spans'][*]['ok'] == true",
    "select mixed from requests where mixed in (1, 'text 2', true, 3.5) or mixed is null",
    "select at from requests where path like '/api%' and latency_ms between 1 and 20",
    "select path, tick(), 'b', 45, latency_ms / 2 as half, status % 7 as rest from requests",
    "select * from requests window 0.5 order by latency_ms desc limit 3",
    "select path, mixed from requests window |50| order by mixed",
    f"select {', '.join(AGGREGATES)} from requests window 0.5",
    f"select {', '.join(AGGREGATES)} from requests window 0.5 group by path, mixed",
    "select count(*), mixed from requests window 1 0.5 group by mixed having e['COUNT(*)'] > 1",
    "select sum(latency_ms) / count(*) as mean, path from requests window 0.5 group by path",
    "select path from requests sample 50%",
    f"select count(*) from requests window 0.5 sample {RANDOM}",
    f"select path from requests sample {STICKY}",
    "select path from requests sample {'strategy': 'RPS', 'threshold': 10}",
    "select * from requests join users 1 seconds on path",
    "select count(*) from requests, users window 0.5",
    f"select {MEAN} from requests window 0.5 anomaly mad mean 0.1 2",
    f"select {MEAN} from requests window 0.5 anomaly des mean 0.5 0.5",
    "select path, e['_agent']['service'] from requests where e['_agent']['tags']['zone'] == 'z'",
]
