//! Routes, each with its description.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use crate::management::Api;

/// Handlers by path and method. The only way to make one is to say what it does.
#[derive(Default)]
pub(in crate::management) struct Routes {
    router: Router<Arc<Api>>,
    operations: Vec<Operation>,
}

/// What is said of a handler.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) path: String,
    pub(super) method: &'static str,
    pub(super) who: Who,
    pub(super) summary: &'static str,
    /// Names of parameters behind the question mark.
    pub(super) query: &'static [&'static str],
    /// The body that it takes, in the notation of schemas.
    pub(super) body: Option<&'static str>,
    pub(super) answer: Answer,
    /// When all went well; the first is the one with the answer.
    pub(super) statuses: &'static [u16],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Nothing,
    /// In the notation of schemas.
    Json(&'static str),
    /// A list of these, or a page of it.
    List(&'static str),
    Text(&'static str),
}

/// Who may ask. Some look further at what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::management) enum Who {
    /// Nobody has to log in.
    Everybody,
    /// A user with one of the four tags. Lists show what that user may see.
    User,
    /// One who may enter the virtual host.
    InVhost,
    /// Who uses it, or a monitor to look, an administrator to change.
    Owner,
    Policymaker,
    Monitor,
    Administrator,
}

/// A handler with what is said of it, to be put somewhere.
pub(in crate::management) struct Route {
    methods: MethodRouter<Arc<Api>>,
    operation: Operation,
}

/// What figures can be asked for, each with `_age` and `_incr`, in seconds: samples.
pub(in crate::management) const SAMPLES: &[&str] = &[
    "msg_rates_age",
    "msg_rates_incr",
    "data_rates_age",
    "data_rates_incr",
    "lengths_age",
    "lengths_incr",
    "node_stats_age",
    "node_stats_incr",
];

/// What lists of objects can be asked for.
pub(super) const LIST: &[&str] =
    &["columns", "sort", "sort_reverse", "page", "page_size", "name", "use_regex"];

macro_rules! method {
    ($method:ident, $statuses:expr) => {
        pub(in crate::management) fn $method<H, T>(
            who: Who,
            handler: H,
            summary: &'static str,
        ) -> Route
        where
            H: Handler<T, Arc<Api>>,
            T: 'static,
        {
            let operation = Operation {
                path: String::new(),
                method: stringify!($method),
                who,
                summary,
                query: &[],
                body: None,
                answer: Answer::Nothing,
                statuses: $statuses,
            };
            Route { methods: routing::$method(handler), operation }
        }
    };
}

method!(get, &[200]);
method!(put, &[201, 204]);
method!(post, &[204]);
method!(delete, &[204]);

impl Route {
    /// A JSON value of this kind.
    pub(in crate::management) fn answers(mut self, schema: &'static str) -> Self {
        self.operation.answer = Answer::Json(schema);
        if self.operation.method == "post" {
            self.operation.statuses = &[200];
        }
        self
    }

    /// A list, with the parameters of lists.
    pub(in crate::management) fn lists(mut self, schema: &'static str) -> Self {
        self.operation.answer = Answer::List(schema);
        self
    }

    /// Text of this media type.
    pub(in crate::management) fn text(mut self, media_type: &'static str) -> Self {
        self.operation.answer = Answer::Text(media_type);
        self
    }

    pub(in crate::management) fn takes(mut self, schema: &'static str) -> Self {
        self.operation.body = Some(schema);
        self
    }

    pub(in crate::management) fn query(mut self, names: &'static [&'static str]) -> Self {
        self.operation.query = names;
        self
    }

    pub(in crate::management) fn statuses(mut self, statuses: &'static [u16]) -> Self {
        self.operation.statuses = statuses;
        self
    }
}

impl Routes {
    pub(in crate::management) fn new() -> Self {
        Self::default()
    }

    /// `/` is the place itself where these are put later.
    pub(in crate::management) fn route<const N: usize>(
        mut self,
        path: &str,
        routes: [Route; N],
    ) -> Self {
        let mut all = MethodRouter::new();
        for Route { methods, operation } in routes {
            all = all.merge(methods);
            self.operations.push(Operation { path: path.to_owned(), ..operation });
        }
        self.router = self.router.route(path, all);
        self
    }

    pub(in crate::management) fn nest(mut self, path: &str, routes: Self) -> Self {
        let placed = |operation: Operation| {
            let below = operation.path.strip_suffix('/').unwrap_or(&operation.path);
            Operation { path: format!("{path}{below}"), ..operation }
        };
        self.operations.extend(routes.operations.into_iter().map(placed));
        self.router = self.router.nest(path, routes.router);
        self
    }

    pub(in crate::management) fn merge(mut self, routes: Self) -> Self {
        self.operations.extend(routes.operations);
        self.router = self.router.merge(routes.router);
        self
    }

    /// Changes how all of them are served.
    pub(in crate::management) fn map(
        mut self,
        change: impl FnOnce(Router<Arc<Api>>) -> Router<Arc<Api>>,
    ) -> Self {
        self.router = change(self.router);
        self
    }

    pub(super) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    pub(in crate::management) fn into_router(self) -> Router<Arc<Api>> {
        self.router
    }
}
