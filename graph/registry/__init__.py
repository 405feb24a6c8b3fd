"""How to ask a registry. The only place that speaks HTTP to one, and it only reads.

`wire`, `headers`, `origin`, `auth`, `listing` and `referrers` are rules without I/O; `transport`, `tokens`,
`authorizer` and `exchange` act; `client` is what the rest of the package uses, `in_process` what a registry
in this process needs; a vendor's additions are one file in `dialects`.
"""
