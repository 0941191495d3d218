//! Users, permissions, virtual hosts, policies and parameters.

use super::{Old, action, list, nothing, refused};
use crate::ctl::legacy::list::OldList;

const COLUMNS: &[&str] = &["column..."];

pub static COMMANDS: &[Old] = &[
    // Users
    list(
        "list_users",
        "cd",
        &[],
        "Listing users ...",
        OldList {
            path: "users",
            usual: &["user", "tags"],
            more: &[],
            renamed: &[("user", "name")],
        },
    ),
    action(
        "add_user",
        &["username", "password?"],
        &["pre-hashed-password"],
        "Adding user \"{username}\" ...",
    ),
    action("delete_user", &["username"], &[], "Deleting user \"{username}\" ..."),
    action(
        "change_password",
        &["username", "password?"],
        &[],
        "Changing password for user \"{username}\" ...",
    ),
    action("clear_password", &["username"], &[], "Clearing password for user \"{username}\" ..."),
    action(
        "authenticate_user",
        &["username", "password?"],
        &[],
        "Authenticating user \"{username}\" ...",
    ),
    action(
        "set_user_tags",
        &["username", "tag..."],
        &[],
        "Setting tags for user \"{username}\" to [{tag}] ...",
    ),
    action("hash_password", &["password?"], &[], "Will hash password"),
    action(
        "set_user_limits",
        &["username", "definition"],
        &[],
        "Setting user limits to \"{definition}\" for user \"{username}\" ...",
    ),
    action(
        "clear_user_limits",
        &["username", "limit"],
        &[],
        "Clearing \"{limit}\" limit for user \"{username}\" ...",
    ),
    action("list_user_limits", &[], &["user=", "global"], "Listing limits ..."),
    // Permissions
    list(
        "list_permissions",
        "c",
        &[],
        "Listing permissions for vhost \"{vhost}\" ...",
        OldList {
            path: "vhosts/{vhost}/permissions",
            usual: &["user", "configure", "write", "read"],
            more: &[],
            renamed: &[],
        },
    ),
    list(
        "list_user_permissions",
        "c",
        &["username"],
        "Listing permissions for user \"{username}\" ...",
        OldList {
            path: "users/{username}/permissions",
            usual: &["vhost", "configure", "write", "read"],
            more: &[],
            renamed: &[],
        },
    ),
    action(
        "set_permissions",
        &["username", "configure", "write", "read"],
        &[],
        "Setting permissions for user \"{username}\" in vhost \"{vhost}\" ...",
    ),
    action(
        "clear_permissions",
        &["username"],
        &[],
        "Clearing permissions for user \"{username}\" in vhost \"{vhost}\" ...",
    ),
    list(
        "list_topic_permissions",
        "c",
        &[],
        "Listing topic permissions for vhost \"{vhost}\" ...",
        OldList {
            path: "vhosts/{vhost}/topic-permissions",
            usual: &["user", "exchange", "write", "read"],
            more: &[],
            renamed: &[],
        },
    ),
    list(
        "list_user_topic_permissions",
        "c",
        &["username"],
        "Listing topic permissions for user \"{username}\" ...",
        OldList {
            path: "users/{username}/topic-permissions",
            usual: &["vhost", "exchange", "write", "read"],
            more: &[],
            renamed: &[],
        },
    ),
    action(
        "set_topic_permissions",
        &["username", "exchange", "write", "read"],
        &[],
        "Setting topic permissions on \"{exchange}\" for user \"{username}\" in vhost \"{vhost}\" ...",
    ),
    action(
        "clear_topic_permissions",
        &["username", "exchange?"],
        &[],
        "Clearing topic permissions for user \"{username}\" in vhost \"{vhost}\" ...",
    ),
    // Virtual hosts
    list(
        "list_vhosts",
        "c",
        COLUMNS,
        "Listing vhosts ...",
        OldList {
            path: "vhosts",
            usual: &["name"],
            more: &[
                "tracing",
                "description",
                "tags",
                "default_queue_type",
                "cluster_state",
                "metadata",
            ],
            renamed: &[],
        },
    ),
    action(
        "add_vhost",
        &["vhost_name"],
        &["description=", "tags=", "default-queue-type="],
        "Adding vhost \"{vhost_name}\" ...",
    ),
    action(
        "update_vhost_metadata",
        &["vhost_name"],
        &["description=", "tags=", "default-queue-type="],
        "Updating metadata of vhost \"{vhost_name}\" ...",
    ),
    action(
        "set_vhost_tags",
        &["vhost_name", "tag..."],
        &[],
        "Setting tags for vhost \"{vhost_name}\" to [{tag}] ...",
    ),
    action("delete_vhost", &["vhost_name"], &[], "Deleting vhost \"{vhost_name}\" ..."),
    action(
        "set_vhost_limits",
        &["definition"],
        &[],
        "Setting vhost limits to \"{definition}\" for vhost \"{vhost}\" ...",
    ),
    action("clear_vhost_limits", &[], &[], "Clearing vhost \"{vhost}\" limits ..."),
    action("list_vhost_limits", &[], &["global"], "Listing limits for vhost \"{vhost}\" ..."),
    nothing("restart_vhost", "c", "A virtual host that exists is up"),
    refused("trace_on", "c", "tracing is not available"),
    nothing("trace_off", "c", "Tracing is never on"),
    // Policies and parameters
    list(
        "list_policies",
        "c",
        &[],
        "Listing policies for vhost \"{vhost}\" ...",
        OldList {
            path: "policies/{vhost}",
            usual: &["vhost", "name", "pattern", "apply-to", "definition", "priority"],
            more: &[],
            renamed: &[],
        },
    ),
    list(
        "list_operator_policies",
        "c",
        &[],
        "Listing operator policy overrides for vhost \"{vhost}\" ...",
        OldList {
            path: "operator-policies/{vhost}",
            usual: &["vhost", "name", "pattern", "apply-to", "definition", "priority"],
            more: &[],
            renamed: &[],
        },
    ),
    action(
        "set_policy",
        &["name", "pattern", "definition"],
        &["priority=", "apply-to="],
        "Setting policy \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with priority \"{priority}\" for vhost \"{vhost}\" ...",
    ),
    action("clear_policy", &["name"], &[], "Clearing policy \"{name}\" on vhost \"{vhost}\" ..."),
    action(
        "set_operator_policy",
        &["name", "pattern", "definition"],
        &["priority=", "apply-to="],
        "Setting operator policy override \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with priority \"{priority}\" for vhost \"{vhost}\" ...",
    ),
    action(
        "clear_operator_policy",
        &["name"],
        &[],
        "Clearing operator policy \"{name}\" on vhost \"{vhost}\" ...",
    ),
    action("list_parameters", &[], &[], "Listing runtime parameters for vhost \"{vhost}\" ..."),
    action(
        "set_parameter",
        &["component", "name", "value"],
        &[],
        "Setting runtime parameter \"{name}\" for component \"{component}\" to \"{value}\" in vhost \"{vhost}\" ...",
    ),
    action(
        "clear_parameter",
        &["component", "name"],
        &[],
        "Clearing runtime parameter \"{name}\" for component \"{component}\" on vhost \"{vhost}\" ...",
    ),
    list(
        "list_global_parameters",
        "c",
        &[],
        "Listing global runtime parameters ...",
        OldList { path: "global-parameters", usual: &["name", "value"], more: &[], renamed: &[] },
    ),
    action(
        "set_global_parameter",
        &["name", "value"],
        &[],
        "Setting global runtime parameter \"{name}\" to \"{value}\" ...",
    ),
    action(
        "clear_global_parameter",
        &["name"],
        &[],
        "Clearing global runtime parameter \"{name}\" ...",
    ),
    action("set_cluster_name", &["name"], &[], "Setting cluster name to {name} ..."),
];
