//! What can be asked, described: OpenAPI at `/api/openapi.json`, and a page of it at `/api/`.
//!
//! A route is made together with its description (`routes`), so there is none without. What bodies and
//! answers look like is a table of `schemas` in a short notation, which `notation` turns into JSON
//! schemas; `document` puts all of it together, once.

mod document;
mod notation;
mod page;
mod routes;
mod schemas;

pub(super) use self::page::describe;
pub(super) use self::routes::{Route, Routes, SAMPLES, Who, delete, get, post, put};
