"""Route 3: the function behind the HTTP API. Parses a call, validates its records, puts them onto the stream.

call     What a caller sent: the records of the body, each as it was written; refused as a whole when it is no such thing.
stream   Records onto the stream, all of them or none that the caller would have to think about.
handler  One call, one answer; the only module that knows Lambda.
"""
