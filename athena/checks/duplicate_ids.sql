-- Check: an id lives once in its table, across all months.
with
identified as (
    select
        'purchase' as source_table,
        purchase.id
    from purchase
    union all
    select
        'refund' as source_table,
        refund.id
    from refund
    union all
    select
        'void' as source_table,
        void.id
    from void
    union all
    select
        'refund_detail' as source_table,
        refund_detail.refund_id as id
    from refund_detail
),

duplicate_ids as (
    select
        identified.source_table,
        identified.id,
        count(*) as copies
    from identified
    group by identified.source_table, identified.id
    having count(*) > 1
)

select
    duplicate_ids.source_table,
    duplicate_ids.id,
    duplicate_ids.copies
from duplicate_ids
order by duplicate_ids.source_table, duplicate_ids.id
