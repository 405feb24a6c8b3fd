"""How to ask a registry. The only place that speaks HTTP to one, and it only reads.

`wire`, `headers`, `origin`, `auth` and `listing` are rules without I/O; `transport`, `tokens` and
`exchange` act; `client` is what the rest of the package uses; a vendor's additions are one file in
`dialects`.
"""
