"""Billable units that most sellers of a product type begin with, by the names clients know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricTemplate:
    """One unit to be made: what it is called, which field it reads, how it is aggregated."""

    name: str
    event_field: str
    aggregation: str
    unit_label: str
    description: str = ""
    required: bool = False


def _template(name: str, event_field: str, aggregation: str, unit_label: str) -> MetricTemplate:
    return MetricTemplate(name, event_field, aggregation, unit_label)


TEMPLATES: dict[str, tuple[MetricTemplate, ...]] = {
    "API": (
        _template("API Calls", "request_count", "COUNT", "call"),
        _template("Data Transfer", "response_bytes", "SUM", "byte"),
        _template("Active Users", "user_id", "UNIQUE", "user"),
        _template("Compute Time", "latency_ms", "SUM", "ms"),
        _template("Error Requests", "error_count", "COUNT", "call"),
        _template("Response Size", "response_size", "SUM", "byte"),
        _template("Request Size", "request_size", "SUM", "byte"),
        _template("Latency P95", "latency_ms", "PERCENTILE_95", "ms"),
    ),
    "AI_AGENT": (
        _template("Agent Sessions", "session_count", "COUNT", "session"),
        _template("Agent Steps", "step_count", "SUM", "step"),
        _template("Tokens Consumed", "total_tokens", "SUM", "token"),
        _template("Agent Tool Calls", "tool_call_count", "COUNT", "call"),
        _template("Execution Minutes", "execution_minutes", "SUM", "minute"),
        _template("GPU Hours", "gpu_hours", "SUM", "hour"),
        _template("Knowledge Queries", "kb_query_count", "COUNT", "query"),
        _template("Tasks Completed", "task_completed_count", "COUNT", "task"),
        _template("Active Agents", "concurrent_agents", "MAX", "agent"),
        _template("Input Tokens", "input_tokens", "SUM", "token"),
        _template("Output Tokens", "output_tokens", "SUM", "token"),
        _template("Tool Calls", "tool_call_count", "COUNT", "call"),
    ),
    "MCP_SERVER": (
        _template("MCP Tool Calls", "tool_call_count", "COUNT", "call"),
        _template("MCP Session Duration", "duration_minutes", "SUM", "minute"),
        _template("MCP Active Sessions", "concurrent_sessions", "MAX", "session"),
        _template("MCP Connected Agents", "agent_id", "UNIQUE", "agent"),
        _template("MCP Input Tokens", "input_tokens", "SUM", "token"),
        _template("MCP Output Tokens", "output_tokens", "SUM", "token"),
        _template("MCP Errors", "error_count", "COUNT", "call"),
        _template("MCP P95 Latency", "latency_ms", "PERCENTILE_95", "ms"),
        _template("Tool Invocations", "tool_call_count", "COUNT", "call"),
        _template("Session Duration", "duration_seconds", "SUM", "second"),
        _template("Active Sessions", "session_id", "UNIQUE", "session"),
        _template("Unique Agents", "agent_id", "UNIQUE", "agent"),
    ),
    "AGENTIC_API": (
        _template("Agentic Requests", "request_count", "COUNT", "call"),
        _template("Agentic Steps", "agent_step_count", "SUM", "step"),
        _template("Agentic Tool Calls", "tool_call_count", "COUNT", "call"),
        _template("Agentic Input Tokens", "input_tokens", "SUM", "token"),
        _template("Agentic Output Tokens", "output_tokens", "SUM", "token"),
        _template("Agentic Compute Time", "latency_ms", "SUM", "ms"),
        _template("Agentic Data Transfer", "response_bytes", "SUM", "byte"),
        _template("Agentic Active Users", "user_id", "UNIQUE", "user"),
        _template("Agent Invocations", "request_count", "COUNT", "call"),
        _template("Workflow Steps", "workflow_step_count", "COUNT", "step"),
        _template("Context Window Size", "context_window_size", "SUM", "token"),
        _template("Execution Duration", "execution_duration_ms", "SUM", "ms"),
    ),
}
