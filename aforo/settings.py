"""All settings, each from the environment, with a safe default or none."""

from ipaddress import ip_network
from pathlib import Path

import environ
from psycopg.conninfo import conninfo_to_dict
from redis.backoff import NoBackoff
from redis.retry import Retry

from aforo.api.enum_names import ENUM_NAMES
from aforo.logs import logging_of
from aforo.sidebar import NAVIGATION

env = environ.Env()
ROOT = Path(__file__).resolve().parent.parent

# --- what this installation is -----------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")  # also keys the hashes of customer aliases: keep it
SEALING_KEYS = env.list("AFORO_SEALING_KEYS", default=[])  # the first seals, each opens
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SITE_URL = env.str("AFORO_SITE_URL", default="http://127.0.0.1:8000")
TRUSTED_PROXIES = env.int("AFORO_TRUSTED_PROXIES", default=0)  # that write X-Forwarded-For

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "axes",
    "django_filters",
    "django_prometheus",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
    "pgtrigger",
    "rest_framework",
    "aforo.tenancy",
    "aforo.outbox",
    "aforo.api",
    "catalog",
    "metering",
    "billing",
    "webhooks",
    "aforo.demo",
    "aforo.probe",
]
MIDDLEWARE = [
    "aforo.api.hot_routes.HotRoutes",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "aforo.api.middleware.RequestIds",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "aforo.api.middleware.ExpectedErrors",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
HOT_ROUTES = [  # mappings of routes to plain views
    "metering.api.urls.HOT_ROUTES",
    "webhooks.api.urls.HOT_ROUTES",
]
HOT_MIDDLEWARE = [  # of the above, all that these routes need
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
BEFORE_DJANGO = ["metering.api.access_doors.before_django"]  # what answers some routes by itself
AFTER_CATALOG_CHANGE = "metering.entitlements.publishing.after_change"  # stands above the catalog
ROOT_URLCONF = "aforo.urls"
WSGI_APPLICATION = "aforo.wsgi.application"
APPEND_SLASH = False  # a redirect loses the body of a POST
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- PostgreSQL --------------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL")
_postgres = conninfo_to_dict(DATABASE_URL)
DATABASES = {
    "default": {
        "ENGINE": "aforo.postgres",  # asks pooled connections whether they live
        "NAME": _postgres.pop("dbname"),
        "USER": _postgres.pop("user", ""),
        "PASSWORD": _postgres.pop("password", ""),
        "HOST": _postgres.pop("host", ""),
        "PORT": _postgres.pop("port", ""),
        "OPTIONS": {
            **_postgres,
            "pool": {"min_size": 1, "max_size": 8, "timeout": 10},
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis: broker, cache, wake-up flags ---------------------------------------------------
REDIS_URL = env.str("REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "socket_timeout": 1.0,
            "socket_connect_timeout": 1.0,
            "retry": Retry(NoBackoff(), 1),  # by default ten times, with pauses
        },
    }
}

# --- Celery ------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_RESULT_EXPIRES = 3600
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True  # a killed worker's task runs again; every task may run twice
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_SOFT_TIME_LIMIT = 570
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 1,  # whoever asks for a task while the broker is away must not wait for it
    "interval_start": 0,
    "visibility_timeout": 3600,
    "socket_timeout": 5.0,
    "socket_connect_timeout": 2.0,
}
CELERY_TIMEZONE = "UTC"
SESSION_IDLE_SECONDS = env.int("AFORO_SESSION_IDLE_SECONDS", default=60)
SESSION_TIMEOUT_SECONDS = env.int("AFORO_SESSION_TIMEOUT_SECONDS", default=3600)
DRAIN_SHARDS = env.int("AFORO_DRAIN_SHARDS", default=2)  # as many as there are drain processes

# --- limits of the doors: events that may wait to be counted, events a minute ---------------
INBOX_LIMIT = env.int("AFORO_INBOX_LIMIT", default=2_000_000)
INBOX_LIMIT_PER_TENANT = env.int("AFORO_INBOX_LIMIT_PER_TENANT", default=1_000_000)
KEY_RATE_LIMIT = env.int("AFORO_KEY_RATE_LIMIT", default=0) or None  # of keys without their own

# --- routes without a key: nobody sees them who is not named here --------------------------
INTERNAL_LISTENER = env.bool("AFORO_INTERNAL_LISTENER", default=False)  # this process is one
INTERNAL_NETWORKS = [ip_network(one) for one in env.list("AFORO_INTERNAL_NETWORKS", default=[])]
GATEWAY_TOKENS = env.list("AFORO_GATEWAY_TOKENS", default=[])

# --- requests of ours to servers of other people ---------------------------------------------
PRIVATE_DESTINATIONS = env.bool("AFORO_PRIVATE_DESTINATIONS", default=False)  # also without TLS

# --- facts that are told to others -----------------------------------------------------------
FACT_CHECKER = (  # looks at each payload that is published; costs too much for every day
    "aforo.outbox.checking.require_valid" if env.bool("AFORO_CHECK_FACTS", default=DEBUG) else ""
)
KEEP_DELIVERIES_DAYS = env.int("AFORO_KEEP_DELIVERIES_DAYS", default=30)  # 0: for good

# --- e-mail -----------------------------------------------------------------------------------
vars().update(env.email_url("AFORO_EMAIL_URL", default="consolemail://"))  # EMAIL_HOST, ...
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("AFORO_EMAIL_FROM", default="aforo@localhost")

# --- the live stream, from a process of its own ---------------------------------------------
STREAM_URL = env.str("AFORO_STREAM_URL", default="")  # empty: the proxy of the web process has it
STREAM_LISTENERS = env.int("AFORO_STREAM_LISTENERS", default=20)  # of one tenant, at one time

# --- what is kept, and for how long; 0: for good ------------------------------------------
KEEP_EVENTS_MONTHS = env.int("AFORO_KEEP_EVENTS_MONTHS", default=0)
KEEP_RAW_MONTHS = env.int("AFORO_KEEP_RAW_MONTHS", default=13)
KEEP_PUSHES_DAYS = env.int("AFORO_KEEP_PUSHES_DAYS", default=90)  # what webhook sources pushed
KEEP_RECEIPTS_DAYS = env.int("AFORO_KEEP_RECEIPTS_DAYS", default=400)
FONTS_DIR = env.str("AFORO_FONTS_DIR", default="")  # beside the fonts of this host
ARCHIVE_DIR = env.str("AFORO_ARCHIVE_DIR", default="")  # where months of events are written

# --- HTTP API ----------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["aforo.api.authentication.OperatorKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["aforo.api.permissions.RoleAllows"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["aforo.api.parsers.ExactJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "aforo.api.paging.PageOfEntities",
    "DEFAULT_SCHEMA_CLASS": "aforo.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "aforo.api.problems.answer_problem",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Aforo",
    "DESCRIPTION": "Usage metering and billing that engineers trust with money.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": r"/(api/)?v1/",
    "ENUM_NAME_OVERRIDES": ENUM_NAMES,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "metering.api.document.add_ingest",
        "metering.api.document_stream.add_stream",
        "metering.api.document_access.add_access",
        "metering.api.document_compat.add_foreign_doors",
        "webhooks.api.document.add_webhook",
        "catalog.api.document_tokens.add_tokens",
        "aforo.api.schema.complete",
    ],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

# --- files, language, time ---------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=ROOT / "staticfiles")
WHITENOISE_USE_FINDERS = env.bool("AFORO_STATIC_UNCOLLECTED", default=False)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": env.str(
            "AFORO_STATIC_STORAGE",
            default="whitenoise.storage.CompressedManifestStaticFilesStorage",
        )
    },
}
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- security of the admin ---------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 1  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_SECURE = SITE_URL.startswith("https")
CSRF_COOKIE_SECURE = SITE_URL.startswith("https")

# --- logs: one JSON object (or one readable line) per fact, with the request's id ----------
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # aforo.api.middleware has looked at it
LOGGING = logging_of(
    form=env.str("LOG_FORMAT", default="json"), level=env.str("LOG_LEVEL", default="INFO")
)

# --- look of the admin ---------------------------------------------------------------------
LOGIN_REDIRECT_URL = "admin:index"
FORMAT_MODULE_PATH = "aforo.formats"
UNFOLD = {
    "SITE_TITLE": "Aforo",
    "SITE_HEADER": "Aforo",
    "SITE_SYMBOL": "speed",
    "SITE_URL": None,  # there is no other site to return to
    "DASHBOARD_CALLBACK": "billing.admin.dashboard.overview",
    "SIDEBAR": {"show_search": True, "show_all_applications": True, "navigation": NAVIGATION},
}
