"""Scanning: from the bytes of an ordinary body straight to columns, in machine code.

What lives here: kernels that walk JSON once and accept the ordinary part of what
`service.schemas` accepts, with the same values bit for bit. What may not: a rule of its own about
what is valid. Whatever is not surely ordinary is *odd*: an odd log is left to Pydantic, and a body
that is odd around its logs altogether. So a scan may decline what is valid, and never takes what
is not; errors are never made here.
"""
