-- What a user did in all is the sum of the user's days, and shares are shares.
with users as (
    select
        count(*) as n_users,
        sum(n_events) as n_events,
        sum(n_positive) as n_positive,
        sum(active_days) as n_days,
        count(*) filter (where user_id = '{{ var("anonymous") }}') as n_anonymous,
        count(*) filter (where n_positive > n_events or first_seen_at > last_seen_at or tenure_days < 0) as n_torn,
        count(*) filter (
            where n_events > 0 and abs(
                {%- for action, _, _ in actions() %}{{ ' + ' if not loop.first }}share_{{ action }}{% endfor %} - 1
            ) > 1e-9
        ) as n_wrong_shares
    from {{ ref('users') }}
),

days as (
    select
        count(*) as n_days,
        sum(n_events) as n_events,
        sum(n_positive) as n_positive,
        count(*) filter (where n_items > n_events or n_positive > n_events) as n_torn,
        count(*) filter (where first_at > last_at) as n_backwards
    from {{ ref('user_days') }}
),

doubled as (
    select count(*) as n_doubled from (
        select user_id from {{ ref('user_days') }}
        group by user_id, occurred_on
        having count(*) > 1
    )
),

rules as (
    select unnest([
        {'rule': 'events do not add up', 'broken': coalesce(users.n_events, 0) <> coalesce(days.n_events, 0)},
        {'rule': 'positives do not add up', 'broken': coalesce(users.n_positive, 0) <> coalesce(days.n_positive, 0)},
        {'rule': 'days do not add up', 'broken': coalesce(users.n_days, 0) <> days.n_days},
        {'rule': 'a user and day stand there twice', 'broken': doubled.n_doubled > 0},
        {'rule': 'the reserved user has a profile', 'broken': users.n_anonymous > 0},
        {'rule': 'a user is torn', 'broken': users.n_torn > 0},
        {'rule': 'shares of actions do not make a whole', 'broken': users.n_wrong_shares > 0},
        {'rule': 'a day is torn', 'broken': days.n_torn + days.n_backwards > 0}
    ], recursive := true)
    from users, days, doubled
)

select * from rules where broken
