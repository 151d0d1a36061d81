"""The example queries of OpenRouter's guides to Broadcast, in each warehouse's SQL, named as in `warehouse_calls`."""

from __future__ import annotations

UNORDERED = {"custom_fields", "first_messages"}  # the guides do not say in which order

# The queries of https://openrouter.ai/docs/guides/features/broadcast/snowflake.
SNOWFLAKE = {
    "cost_by_model": """
        SELECT DATE_TRUNC('day', TIMESTAMP) AS day, MODEL, SUM(TOTAL_COST) AS total_cost,
          SUM(TOTAL_TOKENS) AS total_tokens, COUNT(*) AS request_count
        FROM OPENROUTER_TRACES
        WHERE TIMESTAMP >= DATEADD(day, -30, CURRENT_TIMESTAMP()) AND STATUS = 'ok' AND SPAN_TYPE = 'GENERATION'
        GROUP BY day, MODEL ORDER BY day DESC, total_cost DESC""",
    "user_activity": """
        SELECT USER_ID, COUNT(DISTINCT TRACE_ID) AS trace_count, COUNT(DISTINCT SESSION_ID) AS session_count,
          SUM(TOTAL_TOKENS) AS total_tokens, SUM(TOTAL_COST) AS total_cost, AVG(DURATION_MS) AS avg_duration_ms
        FROM OPENROUTER_TRACES
        WHERE TIMESTAMP >= DATEADD(day, -7, CURRENT_TIMESTAMP()) GROUP BY USER_ID ORDER BY total_cost DESC""",
    "errors": """
        SELECT TRACE_ID, TIMESTAMP, MODEL, LEVEL, FINISH_REASON, METADATA AS user_metadata, INPUT, OUTPUT
        FROM OPENROUTER_TRACES
        WHERE STATUS = 'error' AND TIMESTAMP >= DATEADD(hour, -1, CURRENT_TIMESTAMP()) ORDER BY TIMESTAMP DESC""",
    "providers": """
        SELECT PROVIDER_NAME, MODEL, AVG(DURATION_MS) AS avg_duration_ms,
          PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY DURATION_MS) AS p50_duration_ms,
          PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY DURATION_MS) AS p95_duration_ms, COUNT(*) AS request_count
        FROM OPENROUTER_TRACES
        WHERE TIMESTAMP >= DATEADD(day, -7, CURRENT_TIMESTAMP()) AND STATUS = 'ok' AND SPAN_TYPE = 'GENERATION'
        GROUP BY PROVIDER_NAME, MODEL HAVING request_count >= 10 ORDER BY avg_duration_ms""",
    "usage_by_key": """
        SELECT API_KEY_NAME, COUNT(DISTINCT TRACE_ID) AS trace_count, SUM(TOTAL_COST) AS total_cost,
          SUM(PROMPT_TOKENS) AS prompt_tokens, SUM(COMPLETION_TOKENS) AS completion_tokens
        FROM OPENROUTER_TRACES
        WHERE TIMESTAMP >= DATEADD(day, -30, CURRENT_TIMESTAMP()) GROUP BY API_KEY_NAME ORDER BY total_cost DESC""",
    "custom_fields": """
        SELECT TRACE_ID, METADATA:custom_field::STRING, ATTRIBUTES:"gen_ai.request.model"::STRING
        FROM OPENROUTER_TRACES
        WHERE METADATA:custom_field IS NOT NULL""",
    "first_messages": """
        SELECT TRACE_ID, INPUT:messages[0]:role::STRING, INPUT:messages[0]:content::STRING
        FROM OPENROUTER_TRACES
        WHERE SPAN_TYPE = 'GENERATION'""",
    "departments": """
        SELECT METADATA:department::STRING, METADATA:quarter::STRING, METADATA:model_version::STRING, TOTAL_COST,
          TOTAL_TOKENS
        FROM OPENROUTER_TRACES
        WHERE METADATA:department IS NOT NULL AND SPAN_TYPE = 'GENERATION' ORDER BY TIMESTAMP DESC""",
}

# The queries of https://openrouter.ai/docs/guides/features/broadcast/bigquery.
_FROM = "FROM `my-gcp-project.openrouter.openrouter_traces`"
BIGQUERY = {
    "cost_by_model": f"""
        SELECT DATE(timestamp) AS day, model, SUM(total_cost) AS total_cost, SUM(total_tokens) AS total_tokens,
          COUNT(*) AS request_count
        {_FROM} WHERE timestamp >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY) AND status = 'ok'
        GROUP BY day, model ORDER BY day DESC, total_cost DESC""",
    "user_activity": f"""
        SELECT user_id, COUNT(DISTINCT trace_id) AS trace_count, COUNT(DISTINCT session_id) AS session_count,
          SUM(total_tokens) AS total_tokens, SUM(total_cost) AS total_cost, AVG(duration_ms) AS avg_duration_ms
        {_FROM} WHERE timestamp >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)
        GROUP BY user_id ORDER BY total_cost DESC""",
    "errors": f"""
        SELECT trace_id, timestamp, model, level, finish_reason, metadata AS user_metadata, input, output
        {_FROM} WHERE status = 'error' AND timestamp >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR)
        ORDER BY timestamp DESC""",
    "providers": f"""
        SELECT provider_name, model, AVG(duration_ms) AS avg_duration_ms,
          APPROX_QUANTILES(duration_ms, 100)[OFFSET(50)] AS p50_duration_ms,
          APPROX_QUANTILES(duration_ms, 100)[OFFSET(95)] AS p95_duration_ms, COUNT(*) AS request_count
        {_FROM} WHERE timestamp >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY) AND status = 'ok'
        GROUP BY provider_name, model HAVING request_count >= 10 ORDER BY avg_duration_ms""",
    "usage_by_key": f"""
        SELECT api_key_name, COUNT(DISTINCT trace_id) AS trace_count, SUM(total_cost) AS total_cost,
          SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens
        {_FROM} WHERE timestamp >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
        GROUP BY api_key_name ORDER BY total_cost DESC""",
    "custom_fields": f"""
        SELECT trace_id, JSON_VALUE(metadata, '$.custom_field'), JSON_VALUE(attributes, '$."gen_ai.request.model"')
        {_FROM} WHERE JSON_VALUE(metadata, '$.custom_field') IS NOT NULL""",
    "first_messages": f"""
        SELECT trace_id, JSON_VALUE(input, '$.messages[0].role'), JSON_VALUE(input, '$.messages[0].content') {_FROM}""",
    "departments": f"""
        SELECT JSON_VALUE(metadata, '$.department'), JSON_VALUE(metadata, '$.quarter'),
          JSON_VALUE(metadata, '$.model_version'), total_cost, total_tokens
        {_FROM} WHERE JSON_VALUE(metadata, '$.department') IS NOT NULL ORDER BY timestamp DESC""",
    "newest": f"""
        SELECT trace_id, span_id, timestamp, model, status, total_tokens, total_cost
        {_FROM} ORDER BY timestamp DESC LIMIT 20""",
}
