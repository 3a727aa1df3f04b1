"""Queries of all kinds, which come and go during a soak."""

QUESTIONS = (
    "select * from requests where status == 500",
    "select number, user_id from requests where country == 'KR' and latency_ms > 90",
    "select * from requests where path ==~ /.*7.*/ sample 5%",
    "select count(*), average(latency_ms), max(latency_ms) from requests window 1 group by country",
    "select p99(latency_ms), path from requests window 2 group by path order by path limit 10",
    "select count(distinct user_id) from requests window 1",
    "select count(*) from requests window 4 1 where status != 200",
    "select sum(latency_ms) / count(*) as 'mean' from requests window |500|",
    "select first(number), last(number), stddev(latency_ms) from requests window 1",
    "select list(path) from requests window 1 where status == 500",
    "select count(*) as n, country from requests window 1 group by country having n > 10",
    "select number, latency_ms from requests window 1 order by latency_ms desc limit 5",
    "select count(*), path from requests window 1 group by e['deploy']['version']",
    "select * from requests limit 20",
)
