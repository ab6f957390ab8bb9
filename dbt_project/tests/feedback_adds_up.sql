-- Every pair has two different texts and more votes for it than against; every text of a rating pair was rated so.
with pairs as (
    select * from {{ ref('preference_pairs') }}
),

rated as (
    select * from {{ ref('rated_responses') }}
)

select
    'a pair of equal texts, or without a vote' as what,
    pair_id as which
from pairs
where chosen = rejected or n_votes < 1

union all

select
    'a rating pair whose texts were not rated so' as what,
    pairs.pair_id as which
from pairs
left join rated as liked
    on pairs.prompt_id = liked.prompt_id and pairs.chosen = liked.response and liked.verdict = 1
left join rated as disliked
    on pairs.prompt_id = disliked.prompt_id and pairs.rejected = disliked.response and disliked.verdict = -1
where pairs.kind = 'rating' and (liked.response is null or disliked.response is null)

union all

select
    'a pair and its reverse' as what,
    pairs.pair_id as which
from pairs
inner join pairs as reverse
    on pairs.prompt_id = reverse.prompt_id and pairs.chosen = reverse.rejected and pairs.rejected = reverse.chosen
