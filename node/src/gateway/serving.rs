//! The serving node's part of a relayed request: asks residency again, then its own pool.

use std::future::Future;
use std::rc::Rc;

use graticule_node_core::decide::{Relayed, serve};
use graticule_node_core::framing::RequestHead;
use graticule_node_core::outcome::Protocol;
use graticule_node_core::policy::{Content, PoolIndex, TenantIndex};
use graticule_node_core::{Reason, Snapshot, headers, path};
use http::Response;

use super::account::{self, Account, Head, Verdict};
use super::{Current, Gateway, answer, dispatch};
use crate::body::{RequestBody, ResponseBody};
use crate::early::Listener;
use crate::pool::Asked;
use crate::relay::Server;

/// A relayed request that this node takes.
#[derive(Debug)]
pub struct Admission {
    snapshot: Current,
    tenant: TenantIndex,
    pool: PoolIndex,
    account: Box<Account>,
}

impl Server for Gateway {
    type Admission = Admission;

    fn admit(self: &Rc<Self>, head: &RequestHead) -> Result<Admission, Reason> {
        let admitted = self.admit_uncounted(head);
        admitted.inspect_err(|reason| {
            let tenant = |snapshot: &Snapshot| snapshot.policy.tenant_by_id(&head.tenant);
            account::refused_at_once(self, Protocol::Tunnel, tenant, *reason);
        })
    }

    fn is_leaving(&self) -> bool {
        self.shared.drain.is_draining()
    }

    fn passes_on_informational(&self, admission: &Admission) -> bool {
        let tenant = admission.snapshot.policy.tenant(admission.tenant);
        tenant.is_some_and(|tenant| tenant.informational)
    }

    fn forward(
        self: Rc<Self>,
        admission: Admission,
        head: RequestHead,
        body: RequestBody,
        listener: Option<Listener>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Reason>> {
        let Admission { snapshot, tenant, pool, mut account } = admission;
        let (body, read) = body.counted();
        account.reads(read);
        account.describe(|| self.relayed_head(&head));
        let RequestHead { method, target, mut headers, authority, .. } = head;
        if let Some(span) = account.span() {
            headers::set_trace_parent(&mut headers, span);
        }
        headers.append(http::header::VIA, self.settings.via.clone());
        let request = dispatch::backend_request(method, target, (headers, &authority), body);
        let mut outgoing = dispatch::outgoing(request, listener.as_ref());
        async move {
            let asked = outgoing.headers().and_then(|fields| self.asked(&snapshot, (tenant, pool), fields));
            let sent = match asked {
                Some(asked) => {
                    let asked = Asked { trail: Some(account.trail()), ..asked };
                    let sent = self.backends.send(asked, self.chance(), &mut outgoing).await;
                    sent.map_err(|failure| failure.reason)
                }
                None => Err(Reason::NoCompliantRegion),
            };
            let mut response = match sent {
                Ok(response) => response.map(ResponseBody::backend),
                Err(reason) => {
                    account.refused(reason);
                    return Err(reason);
                }
            };
            answer::from_backend(&mut response);
            response.headers_mut().append(http::header::VIA, self.settings.via.clone());
            account.answers(&mut response);
            Ok(response)
        }
    }
}

impl Gateway {
    fn admit_uncounted(self: &Rc<Self>, head: &RequestHead) -> Result<Admission, Reason> {
        let guard =
            self.in_flight.try_enter(self.settings.requests_in_flight_max).ok_or(Reason::Overloaded)?;
        // In this order: see `Drain`.
        if !self.shared.drain.admits() {
            return Err(Reason::Draining);
        }
        let snapshot = self.snapshot();
        let path = path::form(head.target.path())?;
        let query = head.target.query().unwrap_or_default();
        let content = Content { method: &head.method, path: &path, query, headers: &head.headers };
        let chance = self.chance();
        let relayed = Relayed { tenant: &head.tenant, content, client: head.client, chance };
        let (tenant, pool) = serve(&snapshot, &relayed)?;
        let mut account = Account::begin(self, Protocol::Tunnel, guard);
        // Who may serve may record.
        let (label, region) = ("serve", Some(snapshot.here.region));
        let verdict = Verdict { label, tenant: Some(tenant), region, record: true, client: head.client };
        account.tries(&snapshot, verdict);
        Ok(Admission { snapshot, tenant, pool, account })
    }

    /// What an account of a relayed request tells.
    fn relayed_head(&self, head: &RequestHead) -> Head {
        Head {
            method: head.method.clone(),
            target: head.target.clone(),
            authority: head.authority.clone(),
            client: headers::carried_client_address(&head.headers, &self.settings.client_address),
            request_id: head.headers.get(headers::X_REQUEST_ID).cloned(),
            trace: headers::trace_of(&head.headers),
            span: self.chance_bits() as u64,
        }
    }
}
