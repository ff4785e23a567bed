"""Everything that a key might ask to see a name that it may not use: READS."""

from typing import Final
from urllib.parse import quote

from central.access.prefixes import CHECKED

FOREIGN: Final = (
    *("web.orders", "shop", "shop-2.orders", "shopping.orders", "web-2.up", "web-", "orders", "a.orders.eu"),
    *("shop_.orders", "pay.gauge", "zzz.orders"),
)
"""The names that the key may not use, besides "pay"."""
Asked = tuple[str, str, str, str | None]
"""Method, route, address, and the form in the body."""
RANGE: Final = "operation=sum&window=1d&start=-2d&end=now"
EXPRESSIONS: Final = (
    *("env=hidden", "secret=~.*", "name=web.orders", "name=web.orders.sum", "name=~web.*", "name=~.*ord.*", "env=~.+"),
    *("env=~.*", "name=~.*&expr=env=hidden", "env!=prod&expr=env=~.+", "name=~shop&expr=env=hidden", "name=pay"),
    *("name=pay.sum", "name=~pa"),
)
TARGETS: Final = (
    *("*", "*.*", "*.*.*", "*.*.*.*", "web.orders", "web.orders.sum", "{shop,web}.*.sum", "*ord*", "*.orders.sum"),
    *("web-?.*.sum", "web.orders;env=hidden", "web.orders.sum;secret=secret-1", "seriesByTag('env=hidden')"),
    *("seriesByTag('secret=~.*', 'env=~.*')", "seriesByTag('name=web.orders')", "seriesByTag('name=~.*orders.*')"),
    *("sumSeries(web.orders)", "aliasByNode(*.orders,0,1)", "groupByTags(seriesByTag('env=~.*'),'sum','env')"),
    *(
        "highest(*.*.sum,5)",
        "fallbackSeries(nothing.here,web.*)",
        "pay",
        "pay.sum",
        "applyByNode(*.*.sum,0,'sumSeries(%.*.sum)')",
    ),
)
PATTERNS: Final = ("*.*", "web.*", "*ord*", "{web,shop}.*", "pay", "{pay,shop}.*", "web-*.*")
NODES: Final = ("*", "*.*", "*.*.*", "web.*", "{shop,web,a}.*", "web-?.*", "web.orders.*", "pay", "pay.*")
MORE: Final = ("format=csv", "format=jsonl", "group_by=env", "group_by=secret", "tags=env:hidden", "group_by=env&top=1")
LISTS: Final = (
    *("limit=1000", "prefix=w", "prefix=shop", "prefix=web.", "search=orders", "search=ORDERS&ignore_case=true"),
    *("match=*", "match=*.*", "match=*.*.*", "match=*ord*", "match={web,shop,a}.*", "match=web-[0-9].*"),
    *("match=web.orders", "prefix=pay", "match=pay*", "details=true&limit=1000", "sparkline=24h&limit=1000"),
    *("match=*.*&sparkline=24h&details=true", "clashes=true", "clashes=true&limit=1", "limit=1", "limit=2"),
    *("after=shop&limit=1000", "after=shop.eu.orders&limit=1", "after=shop.orders&limit=2", "after=pay.t&limit=1"),
)
QUERIES: Final = (
    *(f"name={name}&{RANGE}" for name in (*FOREIGN, "pay", "shop.orders,web.orders", "shop.order", "web-1", "web-1u")),
    *(f"match={pattern}&{RANGE}" for pattern in PATTERNS),
    *(
        f"match={pattern}&{RANGE}&{more}"
        for pattern in ("*.*", "{web,shop}.*")
        for more in (
            "format=csv",
            "format=jsonl",
            "group_by=env",
            "group_by=secret",
            "tags=env:hidden",
            "group_by=env&top=1",
        )
    ),
    f"name=shop.orders&{RANGE}",
    f"name=shop.orders&{RANGE}&tags=secret:*",
    f"name=web.orders&{RANGE}&fill=zero&tz=Europe/Berlin",
)


def _get(route: str, *queries: str) -> list[Asked]:
    """GETs, and the same as a form where the path takes one."""
    plain: list[Asked] = [("GET", route, f"{route}?{query}", None) for query in queries]
    return [*plain, *(("POST", route, route, query) for query in queries if ("POST", route) in CHECKED)]


def _of_name(rest: str, sent: str) -> list[Asked]:
    names = (*FOREIGN, "pay", "web%2Eorders", "shop.orders", "shop.none")
    return [("GET", f"/api/metrics/{{name}}/{rest}", f"/api/metrics/{name}/{sent}", None) for name in names]


def _of_tag(*queries: str) -> list[Asked]:
    route = "/graphite/tags/{tag}"
    return [("GET", route, f"/graphite/tags/{tag}?{one}", None) for tag in ("name", "env", "secret") for one in queries]


READS: Final = [
    *_get("/api/metrics", *LISTS),
    *_get("/api/metrics/aggregate", *QUERIES),
    *_of_name("tags", "tags"),
    *_of_name("tags/{key}", "tags/env"),
    *_of_name("tags/{key}", "tags/secret"),
    *_of_name("series", "series"),
    *_get("/graphite/metrics/find", *(f"query={nodes}" for nodes in NODES)),
    *_get("/graphite/metrics/find", "query=&format=completer", "query=w&format=completer", "query=*&format=nodelist"),
    *_get("/graphite/metrics/find", "query=*.*&leavesOnly=1"),
    *_get("/graphite/metrics/expand", "query=*", "query=*.*&query=*.*.*&groupByExpr=1", "query=web.*&leavesOnly=1"),
    *_get("/graphite/metrics/expand", "query=pay.*"),
    *_get("/graphite/metrics/index.json", ""),
    *_get("/graphite/tags", "", "filter=sec.*"),
    *_of_tag("", "filter=h", "limit=2", "filter=web"),
    *_get("/graphite/tags/autoComplete/tags", "", "tagPrefix=s", *(f"expr={one}" for one in EXPRESSIONS)),
    *_get("/graphite/tags/autoComplete/values", "tag=env", "tag=secret", "tag=name", "tag=name&valuePrefix=web."),
    *_get("/graphite/tags/autoComplete/values", "tag=name&valuePrefix=pay"),
    *_get(
        "/graphite/tags/autoComplete/values",
        *(f"tag={tag}&expr={one}" for tag in ("env", "name", "secret") for one in EXPRESSIONS),
    ),
    *_get("/graphite/tags/findSeries", *(f"expr={one}" for one in EXPRESSIONS)),
    *_get("/graphite/render", *(f"target={quote(target)}&from=-2d&until=now" for target in TARGETS)),
    *_get("/graphite/render", "target=*.*.sum&from=-2d&until=now&format=csv", "target=*.*&target=web.*&format=raw"),
    *_get("/graphite/functions", ""),
    *_get("/graphite/version", ""),
    *_get("/graphite/events/get_data", ""),
]
