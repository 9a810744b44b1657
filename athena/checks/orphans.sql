-- Information: refunds and voids whose parent has not arrived; they start to count when it does.
-- A void of a void stays here for good: voids apply to purchases and refunds.
with
parent as (
    select purchase.id
    from purchase
),

voidable as (
    select purchase.id
    from purchase
    union
    select refund.id
    from refund
),

orphans as (
    select
        'refund' as source_table,
        refund.id,
        refund.parent_id,
        refund.amount,
        refund.month
    from refund
    left join parent on refund.parent_id = parent.id
    where parent.id is null
    union all
    select
        'void' as source_table,
        void.id,
        void.parent_id,
        void.amount,
        void.month
    from void
    left join voidable on void.parent_id = voidable.id
    where voidable.id is null
)

select
    orphans.source_table,
    orphans.id,
    orphans.parent_id,
    orphans.amount,
    orphans.month
from orphans
order by orphans.source_table, orphans.id
