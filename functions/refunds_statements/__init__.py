"""Statements: the report of a month as it was issued, what changed since, and what the next statement carries.

A package of its own, because two programs issue statements: the scheduled function and `dataops statement`. It needs
the standard library and, through the ports of the job's library, boto3; no Spark, no pyarrow, no deployer.

`lines`       The refund lines that a statement counts, and what differs between two sets of them. Pure.
`calendar`    Months: which follows which, and whether one is over in the reporting time zone. Pure.
`statement`   What is kept of a statement, and its form in JSON. Pure.
`register`    The issued statements in the base bucket: numbered records, each written once, and their documents.
`snapshot`    What the tables say now, of one run and no other.
`issuing`     Issues a month: order, checks, lines, adjustments, documents, record.
`changes`     What changed since a statement was issued.
`reasons`     Why: what the tables say of a changed refund now, and the voids that name it.
`documents`   A statement as CSV and JSON.
`page`        The content of the finance page, of a statement or of any report; `page_facts` gathers it,
              `page_html` writes it. Pure but for the queries of `page_facts`.
"""
