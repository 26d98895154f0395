"""The studio over HTTP: a thin front before flair_ray, on Ray Serve.

models ...... what may be sent, with its bounds
request_ids . an id for each request, in logs and answers
problems .... errors as answers
arriving .... how many requests are let in, and how long for a body
feed ........ one Redis reader per process for all who watch
streams ..... a run's log as server-sent events or lines of JSON
answers ..... what is answered, as types
operations .. routes that say what is true of them, and the OpenAPI document of all
tenants ..... one guard before every route: who asks, and what is theirs
signin ...... cookies and tickets for browsers
spending .... a tenant's budget
docs ........ the document, and a page for people
routes ...... one function per route
http ........ the routes, put together: a plain ASGI app that runs anywhere
app ......... the same as a Serve deployment
haproxy ..... in front of Serve, where it is installed
serving ..... everything at once on this machine: what `flair serve` starts
"""
