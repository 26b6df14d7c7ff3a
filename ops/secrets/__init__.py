"""Rotating secrets without a gap: what is read by services is changed in steps, each of which all of them have first.

`kept` is where a rotation stands, `values` are Secret Manager's versions, `deployed` is what services really run with,
`usage` is who still needs the old key, and `rotation` walks. No value leaves a process: not to a file, a log, an
argument or the rotation's own record. Why so: docs/adr/secret-rotation.md.
"""
