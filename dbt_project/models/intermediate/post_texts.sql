{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with versions as (
    select
        version_id,
        _load_seq,
        {{ clean_text('text') }} as cleaned
    from {{ ref('stg_post_versions') }}
    {% if is_incremental() %}
    where _load_seq > (select coalesce(max(_load_seq), -1) from {{ this }})
    {% endif %}
),

described as (
    select
        version_id,
        length(cleaned) as n_chars,
        regexp_matches(cleaned, '(?i)https?://|\bwww\.') as has_link,
        len(regexp_extract_all(cleaned, '#[^#\s]+#|#[\p{L}\p{N}_]+')) as n_hashtags,
        {{ mask_personal_data('cleaned') }} as masked,
        _load_seq
    from versions
),

final as (
    select
        version_id,
        coalesce(n_chars, 0) as n_chars,
        coalesce(has_link, false) as has_link,
        coalesce(n_hashtags, 0) as n_hashtags,
        nullif(masked, '') as text,
        md5({{ content_key('masked') }}) as content_hash,
        _load_seq
    from described
)

select * from final
