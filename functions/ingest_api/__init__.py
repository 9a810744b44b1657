"""Route 3: the function behind the HTTP API. Parses a call, validates its records, puts them onto the stream.

call     What a caller sent: the records of the body, each as it was written; anything else is refused as a whole.
stream   Puts all records onto the stream, or raises; the caller can then send the whole call again.
handler  One call, one answer; the only module that knows Lambda.
"""
