-- Every event is there once, what tables count of it agrees, and each of its columns keeps its meaning.
with interactions as (
    select
        count(*) as n_events,
        count(*) filter (where is_positive) as n_positive,
        count(*) filter (where is_positive and user_id <> '{{ var("anonymous") }}') as n_known_positive,
        count(*) filter (where event_id is null or item_id is null or weight is null) as n_incomplete,
        count(*) filter (where is_positive and is_negative) as n_torn,
        count(*) filter (where is_positive and weight <= 0 or is_negative and weight >= 0) as n_wrong_sign
    from {{ ref('interactions') }}
),

raw as (
    select
        count(*) as n_events,
        count(distinct event_id) as n_ids
    from {{ source('raw', 'events') }}
),

posts as (select sum(n_events) as n_events from {{ ref('post_daily') }}),

days as (
    select
        sum(n_events) as n_events,
        sum(n_positive) as n_positive
    from {{ ref('daily_activity') }}
),

sequences as (select sum(len(item_ids)) as n_positive from {{ ref('user_sequences') }}),

rules as (
    select unnest([
        {'rule': 'an event stands there twice', 'broken': raw.n_events <> raw.n_ids},
        {'rule': 'interactions are not the raw events', 'broken': interactions.n_events <> raw.n_events},
        {'rule': 'post_daily does not add up', 'broken': interactions.n_events <> coalesce(posts.n_events, 0)},
        {'rule': 'daily_activity does not add up', 'broken': interactions.n_events <> coalesce(days.n_events, 0)},
        {'rule': 'positives do not add up', 'broken': interactions.n_positive <> coalesce(days.n_positive, 0)},
        {'rule': 'sequences lack positives',
            'broken': interactions.n_known_positive <> coalesce(sequences.n_positive, 0)},
        {'rule': 'an event lacks its id, item or weight', 'broken': interactions.n_incomplete > 0},
        {'rule': 'an event is positive and negative', 'broken': interactions.n_torn > 0},
        {'rule': 'a weight has the wrong sign', 'broken': interactions.n_wrong_sign > 0}
    ], recursive := true)
    from interactions, raw, posts, days, sequences
)

select * from rules where broken
