"""The simulated API: one row an endpoint, and the numbers that stand in its paths."""

from __future__ import annotations

from typing import NamedTuple


class Endpoint(NamedTuple):
    """One operation of the API, without load and failures.

    before, item, after   the path: its text, a kind of number ("" for none), the rest
    latency       median seconds; spread is the sigma of its lognormal
    request_size  median bytes of the body (0: no body)
    response_size median bytes; size_spread is the sigma of its lognormal
    success       status code of a successful request
    client_errors  status codes of ordinary client errors, client_error_rate their share
    """

    name: str
    method: str
    before: str
    item: str
    after: str
    latency: float
    spread: float
    request_size: int
    response_size: int
    size_spread: float
    success: int
    client_error_rate: float
    client_errors: tuple[int, ...]


class Item(NamedTuple):
    """A kind of number in paths, and how callers choose it.

    choice  own (a few per user) | popular (small numbers more often) | any
    """

    choice: str
    first: int
    many: int


ITEMS: dict[str, Item] = {
    "self": Item("own", 1000, 20_000),
    "person": Item("any", 1000, 20_000),
    "order": Item("own", 500_000, 60_000),
    "product": Item("popular", 1, 4_000),
    "media": Item("popular", 1, 12_000),
    "file": Item("own", 70_000, 30_000),
    "report": Item("own", 1, 900),
    "export": Item("own", 9_000, 6_000),
    "ticket": Item("own", 30_000, 20_000),
    "job": Item("any", 1_000_000, 900_000),
    "since": Item("any", 0, 1_000_000),
    "page": Item("popular", 1, 60),
    "days": Item("popular", 1, 400),
    "word": Item("popular", 0, 120),
    "path": Item("any", 0, 64),
}

# name, method, path (~ is /api/v1, braces hold a kind of number), latency and its spread, request
# size, response size and its spread, success, refusal rate, client_errors
_TABLE = """
auth.login       POST   ~/auth/login                   .19  .3  140    900     .1  200 .004 400
auth.refresh     POST   ~/auth/refresh                 .045 .3  320    860     .08 200 .004 400
auth.logout      POST   ~/auth/logout                  .03  .3  40     0       0   204 .004 400
auth.forgot      POST   ~/auth/forgot-password         .12  .4  70     60      .05 202 .004 400
auth.reset       POST   ~/auth/reset-password          .21  .3  180    80      .05 200 .08  400,422
auth.register    POST   ~/auth/register                .26  .3  420    700     .1  201 .22  409,422
auth.mfa         POST   ~/auth/mfa/verify              .09  .3  60     880     .08 200 .06  401
auth.sessions    GET    ~/auth/sessions                .04  .35 0      1400    .4  200 .004 400
me.get           GET    ~/me                           .028 .4  0      1150    .1  200 .004 400
me.update        PATCH  ~/me                           .085 .4  420    1180    .1  200 .03  400,422
me.password      PUT    ~/me/password                  .24  .25 150    0       0   204 .1   400,422
me.email         PUT    ~/me/email                     .13  .3  90     220     .1  202 .05  400,422
me.preferences   PUT    ~/me/preferences               .06  .4  380    400     .2  200 .004 400
me.notify        GET    ~/me/notifications             .035 .45 0      2100    .8  200 .004 400
me.payment       POST   ~/me/payment-methods           .48  .4  360    340     .1  201 .06  402,422
me.keys          GET    ~/me/api-keys                  .04  .35 0      640     .4  200 .004 400
me.key_create    POST   ~/me/api-keys                  .09  .3  120    420     .1  201 .004 400
users.get        GET    ~/users/{self}                 .032 .4  0      1250    .2  200 .01  404
users.update     PATCH  ~/users/{self}                 .085 .4  460    1280    .2  200 .03  400,422
users.orders     GET    ~/users/{self}/orders          .07  .5  0      5200    .9  200 .006 404
users.addresses  GET    ~/users/{self}/addresses       .034 .4  0      780     .5  200 .006 404
orders.list      GET    ~/orders?page={page}           .085 .5  0      8200    .6  200 .004 400
orders.since     GET    ~/orders?updated_since={since} .075 .5  0      3900    1.1 200 .004 400
orders.get       GET    ~/orders/{order}               .04  .4  0      2400    .4  200 .012 404
orders.create    POST   ~/orders                       .42  .45 1500   2300    .3  201 .04  402,409
orders.cancel    POST   ~/orders/{order}/cancel        .15  .4  60     420     .1  200 .06  409
orders.refund    POST   ~/orders/{order}/refund        .38  .4  160    520     .1  200 .05  409,403
orders.invoice   GET    ~/orders/{order}/invoice.pdf   .21  .5  0      84000   .4  200 .01  404
cart.get         GET    ~/cart                         .038 .4  0      1600    .7  200 .004 400
cart.add         POST   ~/cart/items                   .065 .4  110    1700    .7  201 .02  409,422
cart.remove      DELETE ~/cart/items/{product}         .048 .4  0      0       0   204 .02  404
products.list    GET    ~/products?page={page}         .075 .5  0      15500   .4  200 .004 400
products.get     GET    ~/products/{product}           .036 .45 0      4200    .45 200 .01  404
products.reviews GET    ~/products/{product}/reviews   .06  .5  0      6800    .8  200 .004 400
products.review  POST   ~/products/{product}/reviews   .11  .4  700    760     .4  201 .03  400,422
media.thumb      GET    ~/media/{media}/thumbnail      .018 .5  0      9400    .45 200 .004 404
media.get        GET    ~/media/{media}                .09  .6  0      410000  .8  200 .03  404,403
search.products  GET    ~/search?q={word}              .16  .6  0      11200   .7  200 .012 400,429
search.suggest   GET    ~/search/suggest?q={word}      .03  .5  0      620     .5  200 .004 400
search.advanced  POST   ~/search/advanced              .52  .7  640    19000   .9  200 .02  400,429
files.list       GET    ~/files?page={page}            .06  .45 0      5400    .6  200 .004 400
files.get        GET    ~/files/{file}                 .18  .7  0      620000  1.2 200 .03  404,403
files.upload     POST   ~/files                        .65  .7  740000 520     .1  201 .03  413,415
reports.list     GET    ~/reports                      .06  .45 0      4100    .4  200 .004 400
reports.get      GET    ~/reports/{report}             .24  .7  0      48000   .9  200 .01  404
reports.run      POST   ~/reports/{report}/run         1.6  .8  260    36000   1   200 .03  400,429
reports.sales    GET    ~/reports/sales?days={days}    .7   .8  0      26000   1   200 .015 400,429
exports.create   POST   ~/exports                      .14  .4  300    240     .1  202 .02  400,429
exports.status   GET    ~/exports/{export}             .03  .4  0      260     .1  200 .01  404
exports.download GET    ~/exports/{export}/download    1.9  .8  0      2600000 1.1 200 .03  404,403
tickets.list     GET    ~/tickets?page={page}          .08  .5  0      9800    .5  200 .004 400
tickets.get      GET    ~/tickets/{ticket}             .05  .45 0      5300    .7  200 .008 404
tickets.create   POST   ~/tickets                      .13  .4  900    940     .3  201 .03  400,422
tickets.reply    POST   ~/tickets/{ticket}/replies     .12  .4  760    820     .4  201 .004 400
admin.users      GET    ~/admin/users?page={page}      .11  .5  0      16500   .4  200 .004 403,404
admin.user       GET    ~/admin/users/{person}         .06  .45 0      3100    .4  200 .01  403,404
admin.role       PUT    ~/admin/users/{person}/role    .1   .4  80     300     .1  200 .01  403,404
admin.audit      GET    ~/admin/audit?page={page}      .22  .6  0      22000   .4  200 .004 400
admin.settings   GET    ~/admin/settings               .04  .4  0      3600    .1  200 .004 400
admin.flags      GET    ~/admin/feature-flags          .03  .4  0      1900    .1  200 .004 400
hooks.list       GET    ~/webhooks                     .04  .4  0      1300    .4  200 .004 400
hooks.create     POST   ~/webhooks                     .09  .4  240    360     .1  201 .04  400,422
hooks.payment    POST   ~/webhooks/incoming/payments   .075 .45 1300   24      0   200 .01  409
hooks.shipping   POST   ~/webhooks/incoming/shipping   .07  .45 900    24      0   200 .01  409
graphql          POST   /graphql                       .14  .8  850    7400    1   200 .012 400,429
sync.push        POST   ~/sync/push                    .11  .5  5200   380     .3  200 .012 409,429
sync.pull        GET    ~/sync/pull?since={since}      .085 .5  0      7600    1.2 200 .004 400
queue.next       GET    ~/queue/next                   .025 .4  0      1200    .4  200 .004 404
queue.ack        POST   ~/queue/{job}/ack              .03  .4  20     0       0   204 .004 400
batch            POST   ~/batch                        .46  .6  21000  9400    .6  207 .01  400,413
health           GET    /health                        .004 .4  0      48      0   200 0    400
home             GET    /                              .022 .4  0      14800   .05 200 .004 400
robots           GET    /robots.txt                    .003 .4  0      310     0   200 .004 400
sitemap          GET    /sitemap.xml                   .03  .4  0      96000   .02 200 .004 400
docs             GET    /docs                          .02  .4  0      32000   .02 200 .004 400
openapi          GET    /openapi.json                  .035 .4  0      188000  .01 200 .004 400
unknown          GET    /{path}                        .006 .5  0      190     .1  404 0    404
"""


def _endpoint(line: str) -> Endpoint:
    """One row of the table."""
    name, method, path, *numbers, client_errors = line.split()
    latency, spread, request, response, size_spread, success, client_error_rate = map(
        float, numbers
    )
    before, _, rest = path.replace("~", "/api/v1").partition("{")
    item, _, after = rest.partition("}")
    return Endpoint(
        name,
        method,
        before,
        item,
        after,
        latency,
        spread,
        int(request),
        int(response),
        size_spread,
        int(success),
        client_error_rate,
        tuple(int(code) for code in client_errors.split(",")),
    )


ENDPOINTS: tuple[Endpoint, ...] = tuple(map(_endpoint, _TABLE.strip().splitlines()))

INDEX: dict[str, int] = {endpoint.name: index for index, endpoint in enumerate(ENDPOINTS)}

# Words of searches.
WORDS: tuple[str, ...] = tuple(
    f"{kind}{mark}{thing}"
    for thing in ("lamp", "desk", "chair", "bottle", "jacket", "keyboard", "tent", "bike")
    for kind in ("red", "small", "oak", "steel", "kids", "cheap", "blue", "light", "used", "new")
    for mark in ("+", "%20", "-")
)[:120]

# Paths that this API does not serve: old links, guesses, and what scanners request.
PATHS: tuple[str, ...] = tuple("""
favicon.ico apple-touch-icon.png blog shop products index.html index.php login admin
administrator wp-login.php wp-admin xmlrpc.php .env .git/config .git/HEAD .aws/credentials
config.json config.php backup.zip backup.sql db.sql dump.sql phpinfo.php server-status actuator
actuator/env actuator/health metrics debug console swagger.json swagger-ui.html v2/api-docs api
api/v1 api/v2 api/v2/users api/v2/orders api/internal api/v1/internal/users api/v1/debug
api/v1/config api/v1/users/export api/v1/admin/export api/v1/admin/backup api/v1/admin/keys
graphiql graphql/console .well-known/security.txt .well-known/openid-configuration
.well-known/change-password ads.txt humans.txt tomcat/html solr/admin jenkins cgi-bin/test.cgi
vendor/phpunit old test staging static/app.js.map uploads/shell.php
""".split())
