-- Check: each month of each table has as many rows as the manifest that published it says.
-- published_rows (source_table, month, table_rows) is what the manifests say; the validation puts it in front.
with
counted_rows as (
    select
        'purchase' as source_table,
        purchase.month,
        count(*) as table_rows
    from purchase
    group by purchase.month
    union all
    select
        'refund' as source_table,
        refund.month,
        count(*) as table_rows
    from refund
    group by refund.month
    union all
    select
        'void' as source_table,
        void.month,
        count(*) as table_rows
    from void
    group by void.month
    union all
    select
        'refund_detail' as source_table,
        refund_detail.month,
        count(*) as table_rows
    from refund_detail
    group by refund_detail.month
    union all
    select
        'rejected' as source_table,
        rejected.month,
        count(*) as table_rows
    from rejected
    group by rejected.month
),

row_count_disagreements as (
    select
        coalesce(counted_rows.source_table, published_rows.source_table) as source_table,
        coalesce(counted_rows.month, published_rows.month) as table_month,
        counted_rows.table_rows,
        published_rows.table_rows as published_rows
    from counted_rows
    full outer join published_rows
        on counted_rows.source_table = published_rows.source_table and counted_rows.month = published_rows.month
    where coalesce(counted_rows.table_rows, 0) != coalesce(published_rows.table_rows, 0)
)

select
    row_count_disagreements.source_table,
    row_count_disagreements.table_month,
    row_count_disagreements.table_rows,
    row_count_disagreements.published_rows
from row_count_disagreements
order by row_count_disagreements.source_table, row_count_disagreements.table_month
